"""What decorators leave on classes and methods, and how it is read back."""
