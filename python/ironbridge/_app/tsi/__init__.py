"""TypeScript of an application: its models, and a client of its endpoints."""
