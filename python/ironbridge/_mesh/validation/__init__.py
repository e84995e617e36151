"""Parameters of actions and events: rules as fastest-validator's, pydantic's models, dataclasses and typed dicts."""
