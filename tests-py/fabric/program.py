"""Programs at a broker, by their lines."""

from __future__ import annotations

import textwrap

from harness import Program

HEAD = """
import asyncio, os, signal, sys, threading, time
from ironbridge.errors import IronbridgeError
from ironbridge.fabric import AbstractServiceApi, AmqBrokerConnector, AmqpHandler, action

class Api(AbstractServiceApi):
    def sleep(self, seconds):
        print("begun", flush=True)
        time.sleep(seconds)
    def spin(self, seconds):
        print("begun", flush=True)
        while True:
            pass
    async def hold(self, seconds):
        print("begun", flush=True)
        await asyncio.sleep(seconds)
    async def mirror(self, value):
        return value

class Other(AbstractServiceApi):
    def other(self):
        pass

def connector(name="one", **options):
    return AmqBrokerConnector(sys.argv[1], "stage", "actor", name, **options)

def proxy(connector, name="one"):
    return connector.rpc_proxy("stage", name, "actor")
"""


def program(text: str, *uris: str) -> Program:
    """A program of these lines behind `HEAD`; it is given the URIs as its arguments."""
    return Program.python(HEAD + textwrap.dedent(text), *uris)
