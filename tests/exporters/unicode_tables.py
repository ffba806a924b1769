"""What `tokenizers` takes for punctuation, accents and control characters, asked code point by code point.

`python -m tests.exporters.unicode_tables` writes the tables of the JavaScript tokenizer. They can't be left to the
browser: `tokenizers` has those of an old Unicode, and every browser another one.
"""

from itertools import pairwise
from pathlib import Path

from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

import potstill

TABLES = Path(potstill.__file__).parent / "exporters" / "browser" / "unicode.mjs"
CODES = [code for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000 and code != 10]


def tables():
    """The whole file."""
    cleaned = BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    stripped = BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    found = {
        "CONTROLS": [code for code in CODES if cleaned.normalize_str(f"a{chr(code)}b") == "ab"],
        "ACCENTS": [code for code in CODES if stripped.normalize_str(f"a{chr(code)}b") == "ab"],
        "PUNCTUATION": [code for code in CODES if _is_punctuation(chr(code))],
    }
    head = (
        "// First and last codes of ranges, as `tokenizers` has them; written by tests/exporters/unicode_tables.py.\n"
    )
    return head + "".join(f"export const {name} = [\n{_lines(_ranges(codes))}];\n" for name, codes in found.items())


def _is_punctuation(character):
    return len(BertPreTokenizer().pre_tokenize_str(f"a{character}b")) == 3


def _ranges(codes):
    starts = [codes[0], *(b for a, b in pairwise(codes) if b != a + 1)]
    ends = [*(a for a, b in pairwise(codes) if b != a + 1), codes[-1]]
    return [f"0x{start:x},0x{end:x}" for start, end in zip(starts, ends, strict=True)]


def _lines(ranges):
    return "".join("  " + ", ".join(ranges[i : i + 8]) + ",\n" for i in range(0, len(ranges), 8))


if __name__ == "__main__":
    TABLES.write_text(tables(), "utf-8")
