"""What `ironbridge.mesh` is made of."""
