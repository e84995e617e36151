"""What runs services from the command line: their files, their changes, and several processes of them."""
