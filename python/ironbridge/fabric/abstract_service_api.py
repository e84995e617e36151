"""What the APIs of services derive from."""

from __future__ import annotations


class AbstractServiceApi:
    """A service's methods: every public one is served, plain or `async`, inherited ones too."""

    def health_check(self) -> bool:
        """Whether the service is well: it answers, so it is. Override it to say more."""
        return True
