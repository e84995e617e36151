"""Durable events: kept by Redis or JetStream until a service of each group has handled them."""
