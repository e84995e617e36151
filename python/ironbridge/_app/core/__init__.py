"""What every application has: providers, controllers, interceptors, and the unit of work around each of its actions."""
