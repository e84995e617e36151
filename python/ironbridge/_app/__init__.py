"""The app face: an application of services, HTTP, a message bus, websockets and a schedule."""
