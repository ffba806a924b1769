"""The end of a run: everybody writes the test answers, is timed, and is judged. A answer tokens, V vocabulary."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from potstill.data.prompts import Chat
from potstill.evaluation.assessment import Latency
from potstill.evaluation.generation import Pace, WrittenContender, truncated_kl
from potstill.recipe.generative.contest import write_texts
from potstill.students.causal.chat import ChatTokens
from potstill.students.causal.decode import answer_logprobs, write
from potstill.types import FloatArray, IntArray

NUM_KL_TOKENS = 16
NUM_TIMED = 20
BYTES_A_PARAMETER = 2


@dataclass(frozen=True, kw_only=True)
class Writer:
    """A contender as a model.

    Attributes:
        name, title: of the contender.
        model: in eval mode.
        chat: its tokens.
        new_ids: for each id of the teacher its own, -1 for what it lacks.
        curve: of its training.
    """

    name: str
    title: str
    model: Any
    chat: ChatTokens
    new_ids: IntArray
    curve: Sequence[tuple[int, float, float]] = ()


@dataclass(frozen=True, kw_only=True)
class TeacherView:
    """How likely the teacher finds the wanted answers.

    Attributes:
        ids: of each answer, its own tokens.
        top_ids: of each answer, A x K.
        top_logprobs: of each answer, A x K.
    """

    ids: Sequence[list[int]]
    top_ids: Sequence[IntArray]
    top_logprobs: Sequence[FloatArray]

    @property
    def num_tokens(self) -> int:
        """Of all answers."""
        return sum(map(len, self.ids))


def view_of(teacher: Writer, chats: Sequence[Chat]) -> TeacherView:
    """The teacher's alternatives at the wanted answers."""
    ids = [teacher.chat.answer(chat.answer or "") for chat in chats]
    prompts = [teacher.chat.prompt(chat.to_json()) for chat in chats]
    tops: list[Any] = [None] * len(chats)
    for i, logprobs_AV in answer_logprobs(teacher.model, prompts, ids):
        tops[i] = logprobs_AV.topk(min(NUM_KL_TOKENS, logprobs_AV.shape[1]))
    return TeacherView(
        ids=ids,
        top_ids=[top.indices.cpu().numpy() for top in tops],
        top_logprobs=[top.values.cpu().numpy() for top in tops],
    )


def measured(
    writers: Sequence[Writer], chats: Sequence[Chat], view: TeacherView | None, limit: int
) -> list[WrittenContender]:
    """What everybody writes, how likely they find the wanted answers, and how fast they are, in turns."""
    speeds = _speeds(writers, chats[:NUM_TIMED], limit)
    found = []
    for writer in writers:
        nats_N, kl_N = _likelihood(writer, chats, view)
        latency, rate, pace = speeds[writer.name]
        num_parameters = sum(p.numel() for p in writer.model.parameters())
        found.append(
            WrittenContender(
                name=writer.name,
                title=writer.title,
                texts=write_texts(writer.model, writer.chat, chats, limit),
                nats_N=nats_N,
                kl_N=kl_N,
                latency=latency,
                tokens_per_s=rate,
                pace=pace,
                size_bytes=num_parameters * BYTES_A_PARAMETER,
                num_parameters=num_parameters,
                curve=writer.curve,
            )
        )
    return found


def _likelihood(
    writer: Writer, chats: Sequence[Chat], view: TeacherView | None
) -> tuple[FloatArray, FloatArray | None]:
    prompts = [writer.chat.prompt(chat.to_json()) for chat in chats]
    answers = [writer.chat.answer(chat.answer or "") for chat in chats]
    nats_N, kl_N = np.zeros(len(chats)), np.full(len(chats), np.nan)
    for i, logprobs_AV in answer_logprobs(writer.model, prompts, answers):
        nats_N[i] = -float(logprobs_AV[torch.arange(len(answers[i])), answers[i]].sum())
        if view is None or writer.new_ids[view.ids[i]].tolist() != answers[i]:
            continue
        ids_AK = writer.new_ids[view.top_ids[i]]
        picked_AK = logprobs_AV.cpu().numpy()[np.arange(len(ids_AK))[:, None], np.maximum(ids_AK, 0)]
        teacher_AK = np.where(ids_AK >= 0, view.top_logprobs[i], -np.inf)
        kl_N[i] = float(truncated_kl(teacher_AK, np.where(ids_AK >= 0, picked_AK, -80.0)).mean())
    return nats_N, None if view is None else kl_N


def _speeds(writers: Sequence[Writer], chats: Sequence[Chat], limit: int) -> Mapping[str, tuple[Latency, float, Pace]]:
    """CPU milliseconds of an answer at batch 1 and one thread, tokens a CPU second, and both apart; in turns."""
    torch.set_num_threads(1)
    times: dict[str, list[_Timed]] = {writer.name: [] for writer in writers}
    for chat in (chats[0], *chats):
        for writer in writers:
            times[writer.name].append(_timed(writer, chat, limit))
    # The first answer warms up; its time is left out.
    return {name: _speed(timed[1:]) for name, timed in times.items()}


class _Timed(NamedTuple):
    """CPU seconds of one answer."""

    first_s: float
    whole_s: float
    num_read: int
    num_written: int


def _timed(writer: Writer, chat: Chat, limit: int) -> _Timed:
    prompt = writer.chat.prompt(chat.to_json())
    start = time.thread_time()
    list(write(writer.model, [prompt], end=writer.chat.end, max_new_tokens=1))
    middle = time.thread_time()
    ((_, said),) = write(writer.model, [prompt], end=writer.chat.end, max_new_tokens=limit)
    return _Timed(middle - start, time.thread_time() - middle, len(prompt), len(said.ids))


def _speed(timed: Sequence[_Timed]) -> tuple[Latency, float, Pace]:
    whole, first = [t.whole_s for t in timed], [t.first_s for t in timed]
    p50, p95 = (round(float(np.quantile(whole, q)) * 1000, 3) for q in (0.5, 0.95))
    later = sum(t.num_written - 1 for t in timed)
    # Noise can make an answer of few tokens look faster than its first one.
    writing = max(sum(whole) - sum(first), 1e-6)
    pace = Pace(
        first_token_ms=round(float(np.median(first)) * 1000, 3),
        prefill_tokens_per_s=round(sum(t.num_read for t in timed) / sum(first), 1),
        decode_tokens_per_s=round(later / writing, 1) if later else None,
    )
    latency = Latency(p50=p50, p95=p95, threads=1, model_p50=p50, num_calls=len(timed))
    return latency, round(sum(t.num_written for t in timed) / sum(whole), 1), pace
