"""thriftpy2 on a Unix socket, with its Cython protocol and transport; a connection for each thread."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import thriftpy2
from contract import Service
from thriftpy2.protocol import TCyBinaryProtocolFactory
from thriftpy2.rpc import make_client, make_server
from thriftpy2.transport import TCyBufferedTransportFactory

DISTRIBUTIONS = ("thriftpy2",)
SHARED = False
EXTRA: dict[str, Any] = {}

DEFINITION = "service Bench { string get(1: string word), binary echo(1: binary data) }"
Bench = thriftpy2.load_fp(StringIO(DEFINITION), "bench_thrift").Bench


def serve(address: str, ready: Callable[[], None]) -> None:
    """Accepts for ever."""
    server = make_server(
        Bench,
        Service(),
        unix_socket=address,
        proto_factory=TCyBinaryProtocolFactory(),
        trans_factory=TCyBufferedTransportFactory(),
    )
    server.trans.client_timeout = None  # what make_server is told of it does not reach a Unix socket
    server.trans.listen()
    server.trans.listen = lambda: None
    ready()
    server.serve()


class Client:
    """One connection, for one thread."""

    def __init__(self, address: str) -> None:
        self.client = make_client(
            Bench,
            unix_socket=address,
            proto_factory=TCyBinaryProtocolFactory(),
            trans_factory=TCyBufferedTransportFactory(),
            timeout=None,
        )
        self.get: Callable[[str], str] = self.client.get
        self.echo: Callable[[bytes], bytes] = self.client.echo

    def close(self) -> None:
        """Lets the connection go."""
        self.client.close()
