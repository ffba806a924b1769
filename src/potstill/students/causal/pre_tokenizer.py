"""Pre-tokenizers by the names that llama.cpp gives them, so that both sides cut a text the same."""

from __future__ import annotations

import json
import mmap
import struct
from pathlib import Path
from typing import Any

from potstill.errors import ConfigurationError
from potstill.students.causal.vocabulary import with_vocabulary

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _bytes(*, use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def _split(pattern: str) -> dict[str, Any]:
    first = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [first, _bytes(use_regex=False)]}


PRE_TOKENIZERS: dict[str, dict[str, Any]] = {
    "gpt-2": _bytes(use_regex=True),
    "smollm": {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, _bytes(use_regex=True)],
    },
    "llama-bpe": _split(rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_REST}"),
    "qwen2": _split(rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}|{_REST}"),
}
# The one rule under which llama.cpp looks a word up whole before it tries merges (`ignore_merges`).
WHOLE_WORDS = "llama-bpe"
# Other names in llama.cpp for the same cutting.
_SAME = {"llama3": "llama-bpe", "llama-v3": "llama-bpe", "default": "gpt-2", "gpt2": "gpt-2"}


def name_pre_tokenizer(tokenizer_json: str) -> str:
    """llama.cpp's name for how this tokenizer cuts a text into words.

    Raises:
        ConfigurationError: none of those known here; a wrong name would give other ids without a word.
    """
    content = json.loads(tokenizer_json)
    found = _essence(content["pre_tokenizer"])
    takes_words = bool(content["model"].get("ignore_merges"))
    for name, known in PRE_TOKENIZERS.items():
        if _essence(known) == found and takes_words == (name == WHOLE_WORDS):
            return name
    raise ConfigurationError(
        f"the tokenizer cuts words in a way that has no known name in llama.cpp: {json.dumps(found)[:300]}. Known are "
        f"{', '.join(PRE_TOKENIZERS)}. A wrong name would give other tokens without a word, so no GGUF was written; "
        "use the folder of safetensors."
    )


def with_pre_tokenizer(tokenizer: Any, name: str) -> Any:
    """A Hugging Face tokenizer that cuts words as llama.cpp does under that name.

    Raises:
        ConfigurationError: an unknown name.
    """
    known = PRE_TOKENIZERS.get(_SAME.get(name, name))
    if known is None:
        raise ConfigurationError(
            f"the file's tokenizer cuts words by the rule {name!r}; known are {', '.join(PRE_TOKENIZERS)}. Another "
            "rule would give other tokens than the model was trained on. Give the model as a folder in Hugging Face's "
            "layout."
        )
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content["pre_tokenizer"] = known
    content["decoder"] = _bytes(use_regex=True)
    content["model"]["ignore_merges"] = known is PRE_TOKENIZERS[WHOLE_WORDS]
    return with_vocabulary(tokenizer, json.dumps(content))


def read_pre_tokenizer_name(path: Path) -> str:
    """The pre-tokenizer that a GGUF file names, `default` where it names none."""
    key = b"tokenizer.ggml.pre"
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(struct.pack("<Q", len(key)) + key)
        if at < 0:
            return "default"
        start = at + 8 + len(key) + 4  # the type of the value, a string, stands between
        (length,) = struct.unpack_from("<Q", content, start)
        return content[start + 8 : start + 8 + length].decode("utf-8")


def _essence(pre_tokenizer: dict[str, Any]) -> list[Any]:
    """What of a pre-tokenizer decides where a text is cut."""
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    found: list[Any] = []
    for part in parts:
        if part["type"] == "ByteLevel":
            found.append(["ByteLevel", part["add_prefix_space"], part.get("use_regex", True)])
        elif part["type"] == "Split":
            found.append(["Split", _plain(part["pattern"].get("Regex", "")), part["behavior"], part["invert"]])
        else:
            found.append(sorted(part.items()))
    return found


def _plain(pattern: str) -> str:
    """Two spellings of contractions in either case are one."""
    long = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    return pattern.replace(long, _CONTRACTIONS).replace("'(?i:[sdmt]|ll|ve|re)", _CONTRACTIONS)
