"""The service that `ironbridge bench` measures when it is given none."""

from __future__ import annotations

from ironbridge import bridge


def echo(text: str) -> str:
    """The text back."""
    return text


def start(name: str) -> bridge.DaemonHandle:
    """Runs the service under this name in a process of its own."""
    registration = bridge.create(name)
    registration.register(echo)
    return registration.run()
