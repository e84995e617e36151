"""Databases by SQLAlchemy: a transaction for each unit of work, entities, CRUD and queries."""
