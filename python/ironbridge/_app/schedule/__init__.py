"""The schedule: actions that run at their times, in one process or once across many."""
