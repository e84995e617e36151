"""Retry policies: how often a message that failed comes again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .. import const


@dataclass(frozen=True)
class RetryPolicy:
    """When a message that failed comes again.

    Args:
        max_retries: how often.
        initial_delay: seconds before the first time.
        max_delay: seconds at most.
        backoff_factor: how much longer each wait is than the one before.
        jitter: whether each wait is up to a quarter longer or shorter than that.
    """

    max_retries: int = const.RETRY_DEFAULT_MAX_RETRIES
    initial_delay: float = const.RETRY_DEFAULT_INITIAL_DELAY
    max_delay: float = const.RETRY_DEFAULT_MAX_DELAY
    backoff_factor: float = const.RETRY_DEFAULT_BACKOFF_FACTOR
    jitter: bool = const.RETRY_DEFAULT_JITTER

    def delay(self, retries: int) -> float:
        """Seconds to wait when there were so many retries."""
        wait = self.initial_delay * self.backoff_factor**retries
        if self.jitter:
            wait = max(0.1, wait * random.uniform(0.75, 1.25))
        return min(wait, self.max_delay)


WORKER_POLICY = RetryPolicy(max_retries=5, initial_delay=5.0, max_delay=60.0, backoff_factor=3.0)
"""Of handlers that have none of their own."""
