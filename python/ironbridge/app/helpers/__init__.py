"""Parts for applications to put together."""
