"""gRPC on a Unix socket: plain text and bytes for messages, which spares it protobuf's share."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import contract
import grpc
import grpc.aio

DISTRIBUTIONS = ("grpcio",)
SHARED = True
EXTRA: dict[str, Any] = {}

UNBOUNDED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def plain(data: bytes) -> bytes:
    """Bytes are bytes already."""
    return data


def handlers() -> grpc.GenericRpcHandler:
    """The two methods of the service."""
    service = contract.Service()
    return grpc.method_handlers_generic_handler(
        "bench",
        {
            "get": grpc.unary_unary_rpc_method_handler(
                lambda word, _context: service.get(word), bytes.decode, str.encode
            ),
            "echo": grpc.unary_unary_rpc_method_handler(lambda data, _context: service.echo(data), plain, plain),
        },
    )


def serve(address: str, ready: Callable[[], None]) -> None:
    """Serves for ever, on as many threads as there are callers."""
    server = grpc.server(ThreadPoolExecutor(16), (handlers(),), options=UNBOUNDED)
    server.add_insecure_port(f"unix:{address}")
    server.start()
    ready()
    Event().wait()


class Client:
    """One channel, shared by every thread."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(f"unix:{address}", options=UNBOUNDED)
        self.get: Callable[[str], str] = self.channel.unary_unary("/bench/get", str.encode, bytes.decode)
        self.echo: Callable[[bytes], bytes] = self.channel.unary_unary("/bench/echo", plain, plain)

    def close(self) -> None:
        """Lets the connection go."""
        self.channel.close()


class Channel:
    """One channel of grpc.aio."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.aio.insecure_channel(f"unix:{address}")
        self.get: Callable[[str], Awaitable[str]] = self.channel.unary_unary("/bench/get", str.encode, bytes.decode)

    async def close(self) -> None:
        """Lets the connection go."""
        await self.channel.close()


async def AsyncClient(address: str) -> Channel:
    """Connects on the running loop."""
    channel = Channel(address)
    await asyncio.wait_for(channel.channel.channel_ready(), 5)
    return channel
