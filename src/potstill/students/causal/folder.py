"""A causal language model as a folder: weights in safetensors, configuration, tokenizer and chat template."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from potstill.errors import MissingExtraError, TeacherUnavailableError
from potstill.files import sync_folder
from potstill.students.causal.cut import build, plain_config
from potstill.students.causal.pre_tokenizer import read_pre_tokenizer_name, with_pre_tokenizer


def load_causal_lm(path: Path, *, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Model (in eval mode) and tokenizer of a folder in Hugging Face's layout, or of a GGUF file.

    What comes from GGUF is rebuilt as a plain model, so that it can be trained and saved, and its tokenizer gets the
    pre-tokenizer that the file names: transformers puts GPT-2's in its place and cuts some texts differently.

    Raises:
        MissingExtraError: transformers, or for GGUF `gguf` and `accelerate`, are not installed.
        TeacherUnavailableError: nothing there that can be read.
    """
    with _reading(path) as place:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(**place)
        model = AutoModelForCausalLM.from_pretrained(**place, dtype=dtype)
    if path.is_file():
        state = {name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
        if not model.config.tie_word_embeddings:
            state["lm_head.weight"] = model.lm_head.weight.detach()
        model = build(type(model), plain_config(model.config), state, generation_config=model.generation_config)
        model, tokenizer = model.to(dtype), with_pre_tokenizer(tokenizer, read_pre_tokenizer_name(path))
    return model.eval(), tokenizer


def load_tokenizer(path: Path) -> Any:
    """The tokenizer of such a folder or file alone.

    Raises:
        MissingExtraError: as for the whole.
        TeacherUnavailableError: as for the whole.
    """
    with _reading(path) as place:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(**place)
    return with_pre_tokenizer(tokenizer, read_pre_tokenizer_name(path)) if path.is_file() else tokenizer


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[dict[str, str]]:
    """How transformers is told where a model lies; what it can't do is said in our words.

    Raises:
        MissingExtraError: transformers, or for GGUF `gguf` and `accelerate`, are not installed.
        TeacherUnavailableError: nothing there that can be read.
    """
    is_gguf = path.is_file()
    place = {"pretrained_model_name_or_path": str(path.parent if is_gguf else path)}
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("transformers", "lm") from error
    try:
        with _parsed_once() if is_gguf else contextlib.nullcontext():
            yield {**place, "gguf_file": path.name} if is_gguf else place
    except ImportError as error:
        raise MissingExtraError("gguf and accelerate", "lm") from error
    except (OSError, ValueError, KeyError) as error:
        raise TeacherUnavailableError(
            f"{path} holds no causal language model that transformers can read ({error}). Give a folder with "
            "config.json, tokenizer.json and safetensors weights, or one .gguf file."
        ) from error


@contextlib.contextmanager
def _parsed_once() -> Iterator[None]:
    """While it lasts, a GGUF file is parsed once, and so is the table of its tensors' names.

    transformers reads the head of the file for the tokenizer, the configuration and the weights, and builds the table
    anew for every module: two thirds of the time that loading a small model takes. Both depend on their arguments
    alone, and are looked up in the package when they are called.
    """
    import gguf

    plain = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
    for name, function in plain.items():
        setattr(gguf, name, functools.cache(function))
    try:
        yield
    finally:
        for name, function in plain.items():
            setattr(gguf, name, function)


def save_causal_lm(folder: Path, model: Any, tokenizer: Any, *, dtype: torch.dtype = torch.bfloat16) -> None:
    """Writes a folder that transformers, vLLM and llama.cpp's converter read; it is whole or not there.

    Args:
        folder: replaced if it is there.
        model: stays as it is.
        tokenizer: with its chat template.
        dtype: of the stored weights.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        state = {name: tensor.detach().to(dtype).contiguous() for name, tensor in model.state_dict().items()}
        if model.config.tie_word_embeddings:
            state.pop("lm_head.weight", None)
        model.save_pretrained(draft, state_dict=state)
        tokenizer.save_pretrained(draft)
        _say_dtype(draft / "config.json", dtype)
        for path in draft.iterdir():
            path.chmod(0o644)  # safetensors writes for its owner alone
        if folder.exists():
            shutil.rmtree(folder)
        draft.chmod(0o755)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def _say_dtype(config: Path, dtype: torch.dtype) -> None:
    content = json.loads(config.read_text("utf-8"))
    content["dtype"] = str(dtype).removeprefix("torch.")
    config.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
