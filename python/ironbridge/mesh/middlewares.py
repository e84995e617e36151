"""Middlewares for `Broker(…, middlewares=[…])`: what changes packets on their way, and what logs them and calls."""

from __future__ import annotations

from .._mesh.middle.compression import Compression
from .._mesh.middle.encryption import Encryption
from .._mesh.middle.loggers import ActionLogger, TransitLogger
from .._mesh.middle.transit import Packet

__all__ = ["ActionLogger", "Compression", "Encryption", "Packet", "TransitLogger"]
