"""What the command line writes for its users: projects and entities."""
