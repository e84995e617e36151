"""What keeps answers of actions."""

from __future__ import annotations

from .._mesh.caching.cacher import Cacher
from .._mesh.caching.memory import MemoryCacher, MemoryLRUCacher
from .._mesh.caching.redis import RedisCacher

__all__ = ["Cacher", "MemoryCacher", "MemoryLRUCacher", "RedisCacher"]
