"""OpenAI's realtime API for students that hear: sound goes in as it is spoken, what was said comes out."""

from potstill.server.realtime.voices import Voices

__all__ = ["Voices"]
