"""The same, with both nodes on uvloop."""

from functools import partial

from peers.ours_mesh import DISTRIBUTIONS as NODES
from peers.ours_mesh import EXTRA, SHARED, AsyncClient, serve_on

__all__ = ["DISTRIBUTIONS", "EXTRA", "SHARED", "AsyncClient", "serve"]

DISTRIBUTIONS = (*NODES, "uvloop")

serve = partial(serve_on, "uvloop")
