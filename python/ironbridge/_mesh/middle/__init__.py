"""Moleculer's smaller features, each a middleware: hooks, retries, circuit breakers, bulkheads, and their like."""
