"""Logging in: tokens that identify, are refreshed, and can be revoked."""
