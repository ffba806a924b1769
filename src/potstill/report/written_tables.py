"""The tables of the report of a student that writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.evaluation.generation import Pace, matches
from potstill.report import figures
from potstill.report.tables import Table
from potstill.report.words import Words

if TYPE_CHECKING:
    from potstill.report.generative import WrittenContent


def contenders_table(content: WrittenContent, words: Words) -> Table:
    """Everybody with what was measured."""
    names = ("name", "exact_match", "interval", "perplexity", "kl_to_teacher", "agreement", "size", "parameters")
    header = [*map(words, names), *map(words, ("answer_time", "first_token", "prefill", "decode"))]
    rows = [
        [
            words.contender(score.name, score.title),
            figures.percent(score.exact_match),
            figures.interval(score.exact_match_ci),
            figures.number(score.perplexity),
            figures.number(score.kl),
            figures.percent(score.agreement),
            figures.size(score.size_bytes),
            figures.whole(score.num_parameters),
            f"{score.latency.p50:.1f} / {score.latency.p95:.1f} ms" if score.latency else "-",
            *_pace(score.pace),
        ]
        for score in content.assessment.scores
    ]
    return header, rows


def _pace(pace: Pace | None) -> list[str]:
    if pace is None:
        return ["-", "-", "-"]
    written = [figures.number(value, 0) for value in (pace.prefill_tokens_per_s, pace.decode_tokens_per_s)]
    return [f"{pace.first_token_ms:.1f} ms", *written]


def forms_table(content: WrittenContent, words: Words) -> Table:
    """Refusals, and fields where the wanted answers have some."""
    names = sorted({name for score in content.assessment.scores for name in score.form.fields})
    header = [words("name"), words("refusals"), words("format_errors"), words("field_accuracy"), *names]
    rows = [
        [
            words.contender(score.name, score.title),
            *map(figures.percent, (score.form.refusals, score.form.format_errors, score.form.field_accuracy)),
            *(figures.percent(score.form.fields.get(name)) for name in names),
        ]
        for score in content.assessment.scores
    ]
    return header, rows


def trials_table(content: WrittenContent, words: Words, name: str) -> Table:
    """All settings of one contender."""
    header = [words("setting"), "lr", words("dev_exact_match"), words("dev_nats"), words("step")]
    rows = [
        [
            str(trial["name"]),
            f"{trial['learning_rate']:g}",
            figures.percent(trial["dev_exact_match"]),
            figures.number(trial["dev_nats"], 4),
            f"{trial['best_step']} / {trial['steps_done']}",
        ]
        for trial in content.trials[name]
    ]
    return header, rows


def counts_table(content: WrittenContent, words: Words) -> Table:
    """Rows of each kind."""
    return [words("data"), words("rows")], [
        [words(f"count_{name}") if words.has(f"count_{name}") else name, figures.whole(count)]
        for name, count in content.counts.items()
    ]


def spend_table(content: WrittenContent, words: Words) -> Table:
    """What asking took."""
    rows = [
        [words(name), figures.number(value, 1) if isinstance(value, float) else figures.whole(value)]
        for name, value in content.spend.items()
    ]
    return [words("setting"), words("value")], rows


def provenance_table(content: WrittenContent, words: Words) -> Table:
    """Digests and versions."""
    rows = [[words("digest", name=name), value] for name, value in content.digests.items()]
    return [words("environment"), words("value")], [*rows, *([n, v] for n, v in content.environment.items())]


def glossary_table(words: Words) -> Table:
    """Words of this report."""
    pairs = [
        ("teacher", "gloss_teacher"),
        ("student", "gloss_student"),
        ("control", "gloss_control"),
        ("exact_match", "gloss_exact_match"),
        ("perplexity", "gloss_perplexity"),
        ("kl_to_teacher", "gloss_kl"),
        ("gloss_gap_word", "gloss_gap"),
    ]
    return [words("glossary"), ""], [[words(word), words(meaning)] for word, meaning in pairs]


def answers_table(content: WrittenContent, words: Words) -> Table:
    """Test prompts where the student is wrong, the first of them."""
    found = content.assessment
    right = matches(found.texts["student"], found.wanted)
    names = [name for name in ("student", "teacher", "control") if name in found.texts]
    rows = [
        [found.prompts[i], found.wanted[i], *(found.texts[name][i] for name in names)]
        for i, is_right in enumerate(right.tolist())
        if not is_right
    ]
    return [words("prompt"), words("wanted"), *map(words, names)], rows
