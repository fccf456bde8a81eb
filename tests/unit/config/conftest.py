"""Every test has a cache of its own."""

from tiny_known import cache, tiny

__all__ = ["cache", "tiny"]
