"""HTTP on FastAPI: controllers' methods as endpoints, each a unit of work."""
