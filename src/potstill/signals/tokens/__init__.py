"""What teachers say token by token: records, how they are written, and how they meet another tokenizer.

Asking for them is `potstill.signals.token_capture`.
"""

from potstill.signals.tokens.align import Alignment, align_record, byte_ends
from potstill.signals.tokens.codec import TokenCodec
from potstill.signals.tokens.format import SignalKind, TokenFormat
from potstill.signals.tokens.record import TokenRecord

__all__ = ["Alignment", "SignalKind", "TokenCodec", "TokenFormat", "TokenRecord", "align_record", "byte_ends"]
