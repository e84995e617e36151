"""What `ironbridge.bridge` is made of. Its modules stay out of that namespace, where any name is a decorator."""
