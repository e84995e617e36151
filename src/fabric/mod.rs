//! The fabric face: services that meet at an AMQP broker.
