"""What is behind `ironbridge.hub`. Nothing here is for others to import."""
