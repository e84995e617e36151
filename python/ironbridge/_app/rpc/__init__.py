"""Other services' HTTP endpoints, called as methods of a class that says what they are."""
