"""The hub: its services and servers as programs, beside the originals."""
