"""Jobs: the list, and one with its curves, events, checkpoints and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final
from urllib.parse import quote

from potstill.report.figures import number, percent, whole
from potstill.report.markup import escape, tag
from potstill.report.plots import Series, plot
from potstill.report.words import Words
from potstill.server.web import controls, pieces
from potstill.server.web.layout import Viewer, page, top
from potstill.server.web.views.playground import Playground, playground

LOOKS = {
    "validating_files": "wait",
    "queued": "wait",
    "running": "live",
    "in_progress": "live",
    "paused": "wait",
    "succeeded": "good",
    "completed": "good",
    "failed": "bad",
}
UNFINISHED = ("validating_files", "queued", "running")
ACTIONS = {
    "validating_files": ("cancel",),
    "queued": ("pause", "cancel"),
    "running": ("pause", "cancel"),
    "paused": ("resume", "cancel"),
}
LOSSES = ("train_loss", "valid_loss", "full_valid_loss")
ACCURACIES = (
    "train_accuracy",  # of jobs that ran elsewhere
    "train_mean_token_accuracy",
    "valid_mean_token_accuracy",
    "full_valid_mean_token_accuracy",
)
MAX_POINTS = 400


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class JobRow:
    """One job in the list."""

    id: str
    status: str
    base: str
    model: str
    created_at: int


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened; `level` is info, warn or error."""

    created_at: int
    level: str
    message: str


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A state that can be used or downloaded."""

    id: str
    step: int
    model: str
    loss: float | None = None
    accuracy: float | None = None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One job.

    Attributes:
        model: that came out, empty before it succeeded.
        settings: by name, as the API says them.
        files: name of the part and id of the file.
        metrics: points (step, value) by OpenAI's name of the metric.
        events: newest first.
        progress: share that is done, None when nobody knows.
        error: why it failed.
        playground: what was asked there, None where nobody can be asked yet.
    """

    id: str
    status: str
    base: str
    created_at: int
    model: str = ""
    finished_at: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    events: Sequence[Event] = ()
    checkpoints: Sequence[Checkpoint] = ()
    progress: float | None = None
    error: str = ""
    playground: Playground | None = None


def status_badge(words: Words, status: str) -> str:
    """The state of a job or run."""
    known = words.has(f"status_{status}")
    return pieces.badge(words(f"status_{status}") if known else status, LOOKS.get(status, ""))


def jobs_page(viewer: Viewer, jobs: Sequence[JobRow], *, older: str = "") -> str:
    """The list, newest first."""
    words = viewer.words
    head = top(words("place_jobs"), controls.link_button(words("new_job"), "/distil", look="main"))
    if not jobs:
        body = pieces.empty(words("jobs_empty"), words("jobs_empty_text"))
        return page(viewer, words("place_jobs"), head, body, here="jobs")
    header = [words(key) for key in ("job", "status", "base", "model", "time_utc")]
    rows = [
        [
            tag("a", pieces.code(job.id), href=f"/jobs/{quote(job.id, safe='')}"),
            status_badge(words, job.status),
            pieces.code(job.base),
            pieces.code(job.model) if job.model else "",
            pieces.when(job.created_at),
        ]
        for job in jobs
    ]
    listed = pieces.listing(words("jobs_caption"), header, rows)
    return page(viewer, words("place_jobs"), head, listed, pieces.pager(words, older=older, newer=""), here="jobs")


def job_page(viewer: Viewer, job: Job) -> str:
    """One job; what changes while it runs is in one part, which the script keeps fresh."""
    words = viewer.words
    is_live = job.status in UNFINISHED
    parts = [
        top(words("job"), *_actions(viewer, job), under=f"{pieces.code(job.id)} {status_badge(words, job.status)}"),
        pieces.notice(job.error, "bad") if job.error else "",
        _progress(words, job) if is_live else "",
        tag("div", _curves(words, job), _about(words, job), class_="columns wide"),
        tag("div", _events(words, job), _checkpoints(words, job), class_="columns"),
    ]
    live = tag("div", *parts, id="live", **({"data_live": "yes"} if is_live else {}))
    asked = playground(viewer, f"/jobs/{quote(job.id, safe='')}", job.playground) if job.playground else ""
    return page(viewer, words("job"), live, asked, here="jobs")


def _actions(viewer: Viewer, job: Job) -> list[str]:
    words = viewer.words
    shown = []
    for action in ACTIONS.get(job.status, ()):
        confirm = words("cancel_confirm") if action == "cancel" else ""
        look = "danger" if action == "cancel" else ""
        send = controls.button(words(action), look=look, confirm=confirm, id=f"do-{action}")
        shown.append(controls.form(viewer.csrf, f"/jobs/{quote(job.id, safe='')}/{action}", send))
    if job.model:
        address = f"/models/{quote(job.model, safe='')}"
        shown.append(controls.link_button(words("to_model"), address, look="main"))
    return shown


def _progress(words: Words, job: Job) -> str:
    if job.progress is None:
        return ""
    label = words("progress", share=percent(job.progress, 0))
    return tag("p", tag("progress", value=round(job.progress, 3), max=1, aria_label=label), escape(label))


def _curves(words: Words, job: Job) -> str:
    drawn = []
    for title, names in (("loss", LOSSES), ("accuracy", ACCURACIES)):
        found = {name: job.metrics[name] for name in names if job.metrics.get(name)}
        if found:
            series = [Series(words(f"metric_{name}"), _thinned(points), joined=True) for name, points in found.items()]
            drawing = plot(series, title=words(title), x_name=words("step"), y_name=words(title))
            drawn.append(tag("div", drawing, _twin(words, title, found)))
    if not drawn:
        return pieces.card(words("curves"), tag("p", escape(words("curves_empty")), class_="quiet"))
    return pieces.card(words("curves"), tag("div", *drawn, class_="plots"))


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """At most MAX_POINTS, evenly, the last one among them."""
    stride = -(-len(points) // MAX_POINTS)
    return points[::-1][::stride][::-1]


def _twin(words: Words, title: str, found: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    steps = sorted({step for points in found.values() for step, _ in points})
    by_step = [dict(points) for points in found.values()]
    rows = [
        [pieces.number(whole(step)), *(pieces.number(number(values.get(step), 4)) for values in by_step)]
        for step in steps[-MAX_POINTS:]
    ]
    header = [words("step"), *(words(f"metric_{name}") for name in found)]
    shown = pieces.wide_table(words(title), header, rows)
    return tag("details", tag("summary", escape(words("as_table"))), shown, id=f"table-{title}")


def _about(words: Words, job: Job) -> str:
    values = {
        words("base"): pieces.code(job.base),
        words("model"): pieces.code(job.model) if job.model else escape(words("none_yet")),
        words("started"): pieces.when(job.created_at),
    }
    if job.finished_at:
        values[words("finished")] = pieces.when(job.finished_at)
    for part, id in job.files.items():
        known = words(f"file_{part}") if words.has(f"file_{part}") else part
        values[known] = tag("a", pieces.code(id), href=f"/files/{quote(id, safe='')}", download="")
    for name, value in job.settings.items():
        values[words(f"set_{name}") if words.has(f"set_{name}") else name] = pieces.code(value)
    return pieces.card(words("about"), pieces.facts(values))


def _events(words: Words, job: Job) -> str:
    if not job.events:
        return pieces.card(words("events"), tag("p", escape(words("events_empty")), class_="quiet"))
    lines = []
    for event in job.events:
        look = {"warn": "wait", "error": "bad"}.get(event.level)
        level = pieces.badge(words(f"level_{event.level}"), look) + " " if look else ""
        lines.append(tag("li", pieces.when(event.created_at), tag("span", level, escape(event.message), dir="auto")))
    listed = tag("ol", *lines, class_="events", tabindex="0", role="list", aria_label=words("events"))
    return pieces.card(words("events"), listed)


def _checkpoints(words: Words, job: Job) -> str:
    if not job.checkpoints:
        return pieces.card(words("checkpoints"), tag("p", escape(words("checkpoints_empty")), class_="quiet"))
    header = [words(key) for key in ("step", "metric_valid_loss", "accuracy", "model")]
    rows = [
        [
            pieces.number(whole(each.step)),
            pieces.number(number(each.loss, 4)),
            pieces.number(percent(each.accuracy)),
            tag("a", pieces.code(each.model), href=f"/models/{quote(each.model, safe='')}"),
        ]
        for each in job.checkpoints
    ]
    return pieces.card(words("checkpoints"), pieces.wide_table(words("checkpoints_caption"), header, rows))
