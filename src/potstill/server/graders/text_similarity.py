"""How much two texts are alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, final

from potstill.errors import MissingExtraError
from potstill.server.graders.grading import Embed, Grade, GraderError, Means, Subject
from potstill.server.graders.overlap import bleu, gleu, meteor, rouge_l, rouge_n
from potstill.server.graders.template import check_template, render


def fuzzy_match(said: str, wanted: str) -> float:
    """Share of the characters that stay when one text is edited into the other (normalised Indel similarity)."""
    try:
        from rapidfuzz import fuzz
    except ImportError as error:
        raise MissingExtraError("rapidfuzz", "server") from error
    return float(fuzz.ratio(said, wanted)) / 100


def _rouge(length: int) -> Callable[[str, str], float]:
    return partial(rouge_n, length=length)


METRICS: Mapping[str, Callable[[str, str], float]] = {
    "fuzzy_match": fuzzy_match,
    "bleu": bleu,
    "gleu": gleu,
    "meteor": meteor,
    **{f"rouge_{length}": _rouge(length) for length in range(1, 6)},
    "rouge_l": rouge_l,
}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class TextSimilarity:
    """A metric in [0, 1], passed from a threshold on.

    Attributes:
        name: of the criterion.
        input: template of what is checked.
        reference: template of what it is compared with.
        evaluation_metric: one of `METRICS`, or `cosine`, which needs a model of sentences.
        pass_threshold: least score that passes.
    """

    name: str
    input: str
    reference: str
    evaluation_metric: str
    pass_threshold: float = 0.5
    type: Literal["text_similarity"] = "text_similarity"

    def __post_init__(self) -> None:
        if self.evaluation_metric not in (*METRICS, "cosine"):
            known = ", ".join([*METRICS, "cosine"])
            raise GraderError(f"evaluation_metric is {self.evaluation_metric!r}; text_similarity knows {known}")
        check_template(self.input)
        check_template(self.reference)

    async def grade(self, subject: Subject, means: Means) -> Grade:
        """The metric of input and reference."""
        values = subject.values()
        said, wanted = render(self.input, values), render(self.reference, values)
        if self.evaluation_metric == "cosine":
            score = await _cosine(said, wanted, means.embed)
        else:
            score = METRICS[self.evaluation_metric](said, wanted)
        return Grade(score=score, passed=score >= self.pass_threshold)


async def _cosine(said: str, wanted: str, embed: Embed | None) -> float:
    if embed is None:
        raise GraderError(
            "evaluation_metric cosine needs a model of sentences, and this server has none. Its administrator can "
            "start it with --embeddings BUNDLE, the bundle of a student of texts"
        )
    one, other = await embed([said, wanted])
    return cosine(one, other)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Cosine of the angle between two vectors, 0 where one of them is 0."""
    norms = math.sqrt(math.fsum(x * x for x in one)) * math.sqrt(math.fsum(x * x for x in other))
    return math.fsum(x * y for x, y in zip(one, other, strict=True)) / norms if norms else 0.0
