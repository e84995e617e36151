"""The message bus: tasks and events between the parts of an application, in process or over RabbitMQ."""
