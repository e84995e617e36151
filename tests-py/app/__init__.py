"""The app face, as its users have it."""
