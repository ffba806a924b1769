"""Teachers behind OpenAI-compatible APIs."""

from potstill.server.upstream.teachers import Teachers

__all__ = ["Teachers"]
