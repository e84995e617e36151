"""Tracing: which calls led to which, and how long each took, told to whoever draws it."""
