"""Every page of the dashboard with made-up content, hostile where content comes from outside."""

import base64
from dataclasses import replace

import numpy as np

from potstill.fleet.publisher.drift import Drift
from potstill.fleet.publisher.overview import Line, Overview
from potstill.fleet.publisher.rollout import Counts, Rollout
from potstill.runtime.media import png
from potstill.server.web.layout import Viewer
from potstill.server.web.views.completion import Completion, completion_page
from potstill.server.web.views.distil import DataCheck, DistilPlan, StudentOffer, distil_page
from potstill.server.web.views.door import problem_page, sign_in_page
from potstill.server.web.views.evals import (
    Criterion,
    Eval,
    EvalDraft,
    EvalRow,
    RunRow,
    eval_page,
    evals_page,
    new_eval_page,
)
from potstill.server.web.views.fleet import fleet_page
from potstill.server.web.views.jobs import Checkpoint, Event, Job, JobRow, job_page, jobs_page
from potstill.server.web.views.keys import Day, KeyRow, Keys, Saved, Spend, Use, keys_page
from potstill.server.web.views.logs import LogFilter, LogList, LogRow, logs_page
from potstill.server.web.views.matrix import Cell, Matrix, MatrixRow, Paired
from potstill.server.web.views.models import Model, ModelRow, model_page, models_page
from potstill.server.web.views.playground import Answer, Playground
from tests.report.content import HOSTILE

PIXEL = "data:image/png;base64," + base64.b64encode(png(np.full((2, 2, 3), 90, np.uint8))).decode()


def viewer_in(words):
    return Viewer(words=words, csrf="token", address="/logs?text=%3Cb%3E", project="default", is_admin=True)


def log_list(texts, **more):
    rows = [
        LogRow(
            id=f"chatcmpl-{i}",
            created_at=1_790_000_000 + 61 * i,
            model=text[:40],
            prompt=text,
            answer=texts[-1 - i],
            tokens=1000 + i,
            metadata={"task": text[:20]},
        )
        for i, text in enumerate(texts)
    ]
    return LogList(filter=LogFilter(text=texts[0]), rows=rows, models=texts, older="7", newer="9", **more)


def completion(texts):
    pictures = [
        {"type": "image_url", "image_url": {"url": PIXEL}},
        {"type": "image_url", "image_url": {"url": "https://evil.example/q.png?secret=1"}},
        {"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,PHN2Zz48L3N2Zz4="}},
        {"type": "image_url", "image_url": {"url": "https://[evil"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    calls = [{"id": "1", "type": "function", "function": {"name": texts[0], "arguments": texts[-1]}}]
    return Completion(
        id="chatcmpl-1",
        created_at=1_790_000_000,
        model=texts[0],
        teacher=texts[1],
        messages=[
            *({"role": "user", "content": text} for text in texts),
            {"role": "user", "content": [{"type": "text", "text": texts[0]}, *pictures]},
            {"role": "assistant", "content": None, "tool_calls": calls, "refusal": texts[0]},
        ],
        request={"tools": [{"name": texts[0]}], "response_format": {"type": texts[0]}, "stop": texts[-1]},
        usage={"prompt_tokens": 1000, "completion_tokens": 7},
        metadata={"task": texts[0]},
    )


def plan(texts, **more):
    check = DataCheck(
        num_rows=1234,
        num_kept=1200,
        num_duplicates=30,
        num_leaks=4,
        num_conflicts=len(texts),
        conflicts=[(text, (texts[0], texts[-1])) for text in texts],
        answers=[(text, 100 - i) for i, text in enumerate(texts)],
        **more,
    )
    offers = [
        StudentOffer(base="potstill-auto", seconds=600, size_bytes=1_200_000, cost=0.5),
        StudentOffer(base=texts[0]),
    ]
    chosen = LogFilter(model=texts[0], metadata=texts[1], text=texts[-1])
    return DistilPlan(
        filter=chosen,
        check=check,
        students=offers,
        suffix=texts[0],
        refused=texts[1],
        files={"file-1": texts[0]},
        held_out="file-1",
    )


def job(texts, status="running"):
    steps = range(0, 2000, 2)
    answers = [
        Answer(role="teacher", model=texts[0], text=texts[0], milliseconds=812.4),
        Answer(role="base", model=texts[1], problem=texts[1]),
        Answer(role="student", model="1", text=texts[-1], milliseconds=0.9),
    ]
    return Job(
        id="ftjob-1",
        status=status,
        base=texts[0],
        model="ft:1:2:<3>" if status == "succeeded" else "",
        created_at=1_790_000_000,
        finished_at=1_790_000_600,
        settings={"n_epochs": "3", texts[0]: texts[-1]},
        files={"training": "file-1", "result": texts[0]},
        metrics={
            "train_loss": [(step, 2 / (1 + step / 300)) for step in steps],
            "valid_loss": [(step, 2.1 / (1 + step / 320)) for step in steps[::50]],
            "train_accuracy": [(step, 1 - 1 / (1 + step / 200)) for step in steps],
        },
        events=[Event(created_at=1_790_000_000, level=level, message=texts[0]) for level in ("info", "warn", "error")],
        checkpoints=[Checkpoint(id="1", step=500, model=f"ft:{texts[0]}:ckpt-step-500", loss=0.7, accuracy=0.8)],
        progress=0.42,
        error=texts[0] if status == "failed" else "",
        playground=Playground(prompt="\n" + texts[0], answers=answers),
    )


def evaluation(texts):
    cells = [Cell(passed=True, output=texts[0]), Cell(passed=False, output=texts[-1], reasons=(texts[0],)), None]
    rows = [
        MatrixRow(prompt=text, reference=texts[0], cells=[cells[i % 3 - j] for j in range(3)])
        for i, text in enumerate(texts)
    ]
    paired = [
        Paired(
            first=texts[0],
            second=texts[1],
            num_rows=500,
            difference=d,
            low=d - 0.02,
            high=d + 0.02,
            only_first=9,
            only_second=2,
            p=0.03,
        )
        for d in (0.05, 0.01, -0.05)
    ]
    runs = [
        RunRow(
            id=str(i),
            name=text,
            model=text,
            status=status,
            created_at=1_790_000_000,
            passed=90 * i,
            failed=10,
            error=text,
        )
        for i, (text, status) in enumerate(
            zip(texts, ("queued", "in_progress", "completed", "failed", "canceled"), strict=False)
        )
    ]
    table = Matrix(
        models=texts[:3],
        rows=rows,
        counts={"all": 9, "failures": 3, "different": 2},
        shown="failures",
        num_pages=3,
        page=2,
        paired=paired,
    )
    return Eval(
        id="eval_1", name=texts[0], created_at=1_790_000_000, criteria=[(texts[0], texts[-1])], runs=runs, matrix=table
    )


def draft(texts):
    criteria = [
        Criterion(name=text, kind=kind, prompt="\n" + text)
        for text, kind in zip(texts, ("label_model", "string_check"), strict=False)
    ]
    return EvalDraft(
        filter=LogFilter(model=texts[0]),
        name=texts[0],
        criteria=criteria,
        offered=texts,
        models=texts[:1],
        num_rows=500,
        refused=texts[0],
    )


def model(texts):
    return Model(
        id=f"ft:{texts[0]}",
        base=texts[0],
        created_at=1_790_000_000,
        size_bytes=1_234_567,
        card="\n".join(texts),
        facts={texts[0]: texts[-1]},
        downloads={texts[0]: 1_200_000, "1.zip": 7},
        has_report=True,
        job="ftjob-1",
        can_try=True,
    )


def keys(texts):
    rows = [
        KeyRow(
            id="key_1",
            name=texts[0],
            hint="12<4",
            project=texts[0],
            created_at=1_790_000_000,
            is_admin=True,
            is_own=True,
        ),
        KeyRow(
            id="key_2",
            name=texts[1],
            hint="1234",
            project=texts[0],
            created_at=1_790_000_000,
            may_store=False,
            retention_days=30,
        ),
        KeyRow(
            id="key_3",
            name=texts[-1],
            hint="1234",
            project=texts[0],
            created_at=1_790_000_000,
            revoked_at=1_790_000_001,
        ),
    ]
    models = [
        Use(
            model=texts[0],
            kind="teacher",
            answerer=texts[1],
            calls=100,
            prompt_tokens=12_000,
            answer_tokens=900,
            cost=1.25,
        ),
        Use(model=texts[1], kind="student", answerer="student", calls=900, prompt_tokens=108_000, answer_tokens=8100),
    ]
    spend = Spend(
        days=30,
        models=models,
        keys=[Use(model=texts[2], calls=1000, prompt_tokens=120_000, answer_tokens=9000, cost=1.25)],
        by_day=[
            Day(day=20_000 + i, teacher_tokens=12_000 - 1000 * i, student_tokens=9000 * i, cost=1.5 - i / 10)
            for i in range(9)
        ],
        local_share=0.9,
        cascade_share=0.8,
        saved=Saved(teacher=texts[0], amount=11.25),
    )
    return Keys(keys=rows, spend=spend, secret="11", refused=texts[0])


def fleet(texts):
    def line(text, state, **more):
        return Line(
            rollout=Rollout(cohort=text, model=text, state=state, rings=(0.1, 1.0), **more),
            counts=Counts(num_devices=10, num_committed=8, num_failed=1),
            num_devices=100,
            versions={text: 90, "-": 10},
            num_reverted=1,
            rings=(10, 90),
            health={"num_predictions": 1000, "error_rate": 0.01, "confidence": 0.9, "out_of_scope": None},
            events=[{"device": text, "version": 2, "event": "reverted", "time": "1", "reason": text}],
            drift=Drift(version=1, num_predictions=500, confidence=-0.1, mix=0.2, out_of_scope=0.1, found=(text,)),
        )

    lines = [line(texts[0], "running", stable=1, candidate=2)]
    silent = {"num_predictions": 0, "error_rate": None, "confidence": None, "out_of_scope": None}
    lines.append(replace(lines[0], versions={}, events=[], health=silent, drift=Drift(version=None, num_predictions=0)))
    lines += [line(text, "stopped", candidate=3) for text in texts[1:3]]
    return Overview(name=texts[0], lines=lines, expires={"root": "2027-01-01"})


def all_pages(words, texts=HOSTILE):
    """By name."""
    viewer = viewer_in(words)
    return {
        "sign_in": sign_in_page(Viewer(words=words), refused=True, back="/logs?text=<b>"),
        "problem": problem_page(viewer, 404, texts[0]),
        "logs": logs_page(viewer, log_list(texts, refused=texts[1])),
        "logs_none": logs_page(viewer, LogList(filter=LogFilter(model=texts[0]), rows=())),
        "logs_empty": logs_page(viewer, LogList(filter=LogFilter(), rows=(), address="http://127.0.0.1:8080/v1")),
        "completion": completion_page(viewer, completion(texts)),
        "distil": distil_page(viewer, plan(texts)),
        "distil_impossible": distil_page(viewer, plan(texts, problem=texts[0])),
        "jobs": jobs_page(
            viewer,
            [
                JobRow(id=str(i), status=status, base=texts[0], model=texts[-1], created_at=1_790_000_000)
                for i, status in enumerate(["running", "succeeded", "failed", texts[0]])
            ],
            older="/jobs?after=1",
        ),
        "jobs_empty": jobs_page(viewer, []),
        "job": job_page(viewer, job(texts)),
        "job_done": job_page(viewer, job(texts, "succeeded")),
        "job_failed": job_page(viewer, job(texts, "failed")),
        "job_queued": job_page(viewer, Job(id="1", status="queued", base="1", created_at=1_790_000_000)),
        "evals": evals_page(
            viewer,
            [
                EvalRow(id=text, name=text, created_at=1_790_000_000, num_runs=2, pass_rate=rate)
                for text, rate in zip(texts, (0.9, None, 0.1), strict=False)
            ],
        ),
        "evals_empty": evals_page(viewer, []),
        "eval": eval_page(viewer, evaluation(texts)),
        "eval_new": new_eval_page(viewer, draft(texts)),
        "models": models_page(
            viewer,
            [
                ModelRow(id=texts[0], kind="student", base=texts[1], created_at=1_790_000_000),
                ModelRow(id=texts[1], kind="teacher"),
            ],
        ),
        "models_empty": models_page(viewer, []),
        "model": model_page(viewer, model(texts)),
        "keys": keys_page(viewer, keys(texts)),
        "keys_empty": keys_page(viewer, Keys(keys=())),
        "fleet": fleet_page(viewer, fleet(texts)),
        "fleet_empty": fleet_page(viewer, Overview(name=texts[0], lines=[], expires={})),
        "fleet_none": fleet_page(viewer, None),
    }
