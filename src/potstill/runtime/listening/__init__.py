"""Sounds that go on: chunks of any size in, an answer for every utterance out."""

from potstill.runtime.listening.listener import Heard, Listener
from potstill.runtime.listening.voice import SileroVoice, VoiceActivity

__all__ = ["Heard", "Listener", "SileroVoice", "VoiceActivity"]
