"""Programs of the original, and of ours beside it."""
