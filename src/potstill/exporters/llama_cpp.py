"""Compares a GGUF file in llama.cpp with the model that it was made from."""

from __future__ import annotations

import json
import math
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from potstill.errors import ConfigurationError, IntegrityError
from potstill.runtime.generating.llama import open_llama
from potstill.students.causal import load_causal_lm

TOP = 5
# Largest difference of a log-probability that counts, in nats, by quantisation.
TOLERANCES = {"f32": 0.02, "f16": 0.1, "bf16": 0.3, "q8_0": 0.5, "q5_1": 1.5, "q5_0": 1.5, "q4_1": 2.5, "q4_0": 2.5}
# A token a hundred times less likely than the likeliest is hardly ever said, however far off its log-probability is.
WITHIN = math.log(100)
TIMEOUT_S = 120


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How a GGUF file compares with its source.

    Attributes:
        num_prompts: compared.
        top_1: share of prompts with the same most probable next token.
        top_5: mean share of the five most probable next tokens that are the same.
        difference: largest difference of a log-probability, in nats, among those of llama.cpp's five best that are at
            least a hundredth as likely as the likeliest.
        kl: mean nats from the model's distribution to llama.cpp's, over these five and all others together, so at most
            the whole divergence.
    """

    num_prompts: int
    top_1: float
    top_5: float
    difference: float
    kl: float


def check_gguf(path: Path, folder: Path, prompts: Sequence[str], quantization: str) -> Parity:
    """Asks llama.cpp and transformers for the next token of each prompt.

    Token ids must be the same; log-probabilities may differ by what the quantisation costs.

    Args:
        path: the GGUF file.
        folder: that it was made from.
        prompts: rendered texts, special tokens and all; those of the transfer set say most.
        quantization: of the file.

    Raises:
        MissingExtraError: `xllamacpp` is not installed.
        IntegrityError: other token ids, or log-probabilities too far off.
    """
    if not prompts:
        raise ConfigurationError("a GGUF file can't be compared without prompts; give some of the transfer set")
    model, tokenizer = load_causal_lm(folder)
    overlaps, divergences, same, difference = [], [], 0, 0.0
    with LlamaCpp(path) as server:
        for prompt in prompts:
            ids = tokenizer.encode(prompt)
            _check_ids(ids, server.tokenize(prompt))
            found = server.next_tokens(ids)
            with torch.no_grad():
                logits_V = model(input_ids=torch.tensor([ids])).logits[0, -1].float()
            logs_V = torch.log_softmax(logits_V, -1)
            best = logs_V.topk(TOP).indices.tolist()
            same += best[0] == next(iter(found))
            overlaps.append(len({*best} & {*found}) / TOP)
            ours, theirs = [float(logs_V[i]) for i in found], list(found.values())
            difference = max(difference, _difference(ours, theirs))
            divergences.append(_divergence(ours, theirs))
    if not difference <= TOLERANCES[quantization]:
        raise IntegrityError(
            f"{path} differs from the model by {difference:.3g} in a log-probability, more than "
            f"{TOLERANCES[quantization]} for {quantization}. Use q8_0 or f16, or report this with the versions of gguf "
            "and xllamacpp."
        )
    return Parity(
        num_prompts=len(prompts),
        top_1=same / len(prompts),
        top_5=sum(overlaps) / len(overlaps),
        difference=difference,
        kl=sum(divergences) / len(divergences),
    )


def _difference(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Largest difference in nats where either side finds a token likely enough."""
    pairs = list(zip(ours, theirs, strict=True))
    least = max(max(pair) for pair in pairs) - WITHIN
    return max(abs(a - b) for a, b in pairs if max(a, b) >= least)


def _divergence(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Nats between two distributions of which a few log-probabilities are known; the rest is one more outcome."""
    p, q = (np.exp(np.asarray(logs, np.float64)) for logs in (ours, theirs))
    p, q = (np.clip([*x, 1 - x.sum()], 1e-9, 1.0) for x in (p, q))
    return max(0.0, float((p * np.log(p / q)).sum()))


def _check_ids(ids: Sequence[int], theirs: Sequence[int]) -> None:
    if list(ids) == list(theirs):
        return
    at = next((i for i, (a, b) in enumerate(zip(ids, theirs, strict=False)) if a != b), min(len(ids), len(theirs)))
    raise IntegrityError(
        f"llama.cpp cuts a prompt into {len(theirs)} tokens and transformers into {len(ids)}; they part at token {at}. "
        "The file would answer worse than the model and is not to be used. Please report the tokenizer."
    )


class LlamaCpp:
    """llama.cpp in this process, on one thread: more of them wait for each other on a shared machine.

    To be used in a `with` block: the model is freed at its end, and only one is held at a time.
    """

    def __init__(self, path: Path, *, num_threads: int = 1, context: int = 1024) -> None:
        self._server: Any = open_llama(path, context_length=context, threads=num_threads)

    def __enter__(self) -> LlamaCpp:
        return self

    def __exit__(self, *_: object) -> None:
        self._server = None

    def tokenize(self, text: str) -> list[int]:
        """Token ids, special tokens read as such."""
        body = json.dumps({"content": text, "add_special": True, "parse_special": True}).encode()
        request = urllib.request.Request(
            f"{self._server.listening_address}/tokenize", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return [int(i) for i in json.load(response)["tokens"]]

    def next_tokens(self, ids: Sequence[int]) -> dict[int, float]:
        """The five most probable next tokens with their log-probabilities, the most probable first."""
        asked = {"prompt": list(ids), "n_predict": 1, "n_probs": TOP, "temperature": 0.0, "cache_prompt": False}
        answer = self._server.handle_completions(asked)
        best = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return {int(token["id"]): float(token["logprob"]) for token in best}
