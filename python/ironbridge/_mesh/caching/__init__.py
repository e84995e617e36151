"""Caching answers of actions: in memory, or in a Redis that nodes in any language share."""
