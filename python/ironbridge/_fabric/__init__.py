"""What the fabric's face is made of."""
