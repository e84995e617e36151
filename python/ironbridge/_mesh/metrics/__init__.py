"""Metrics: what a node counts and times, under Moleculer's names."""
