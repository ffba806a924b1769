"""Content of a report, made up, with the shape of a real run."""

import numpy as np

from potstill.evaluation.assess import assess
from potstill.evaluation.assessment import Contender, Latency
from potstill.report.content import PassedOn, PrecisionFact, ReportContent, SoftLabel, SpendFact
from potstill.types import OUT_OF_SCOPE, Field, Finding, LabelSchema

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "left \u202e right \u0000 null \x1b[31m red",
    "| a | b |\n# heading",
    "=HYPERLINK('http://evil')",
]


def schema_of(num_classes, *, kind="single"):
    classes = tuple(f"class {i}" for i in range(num_classes))
    if kind == "single":
        return LabelSchema((Field(name="label", classes=classes),))
    if kind == "multi":
        return LabelSchema((Field(name="label", classes=classes, multi=True),))
    return LabelSchema((Field(name="what", classes=classes), Field(name="mood", classes=("good", "bad"))))


def labels_of(schema, random, num_rows):
    parts = []
    for field, _, _ in schema.parts():
        if field.multi:
            parts.append(random.integers(0, 2, (num_rows, len(field.classes))))
        else:
            parts.append(random.integers(0, len(field.classes), (num_rows, 1)))
    return np.concatenate(parts, axis=1).astype(np.int32)


def logits_of(schema, labels, random, strength):
    logits = random.normal(size=(len(labels), schema.num_logits))
    for field, logit, column in schema.parts():
        known = np.maximum(labels[:, column], 0)
        if field.multi:
            logits[:, logit] += strength * (2 * known - 1)
        else:
            logits[np.arange(len(labels)), logit.start + known[:, 0]] += strength
    return logits.astype(np.float32)


def make_content(*, num_classes=6, num_rows=300, kind="single", inputs=None, teacher_latency=True, outside=0):
    random = np.random.default_rng(0)
    schema = schema_of(num_classes, kind=kind)
    labels = labels_of(schema, random, num_rows)
    labels[:outside] = OUT_OF_SCOPE
    dev = labels_of(schema, random, 100)
    contenders = []
    for name, strength in (("teacher", 5.0), ("student", 4.5), ("control", 3.0), ("baseline", 2.5)):
        measured = name != "teacher" or teacher_latency
        contenders.append(
            Contender(
                name=name,
                title=f"{name} <b>&</b>",
                dev_logits=logits_of(schema, dev, random, strength),
                test_logits=logits_of(schema, labels, random, strength),
                num_parameters=1000,
                size_bytes=90_000_000 if name == "teacher" else 600_000,
                latency=Latency(p50=0.1, p95=0.2, threads=1, model_p50=0.05, num_calls=100) if measured else None,
                peak_memory_bytes=60_000_000,
                curve=((10, 2.0, 1.5), (20, 1.0, float("nan")), (30, 0.5, 0.7)) if name != "teacher" else (),
            )
        )
    assessment = assess(contenders, dev, labels, schema, steps=[("hard_over_control", "control", "student")])
    texts = inputs or [HOSTILE[i // 9 % len(HOSTILE)] if i % 9 == 0 else f"row {i}" for i in range(assessment.num_test)]
    seen = [HOSTILE[0], random.integers(0, 255, (4, 4, 3)).astype(np.uint8), np.zeros(8, np.float32)]
    soft_labels = [SoftLabel(value=v, label="class 1", said=[("class 1", 0.8), ("class 0", 0.1)]) for v in seen]
    trial = {"name": "soft <T>", "signal": "soft", "temperature": 2.0, "learning_rate": 0.001, "dropout": 0.1}
    trial |= {"label_smoothing": 0.0, "augmentation": 0.0, "dev_nll": None, "dev_accuracy": 0.9, "steps_done": 30}
    trial |= {"best_step": 20, "gradient_ratio": 0.7, "error": ""}
    return ReportContent(
        title="run <1>",
        assessment=assessment,
        test_inputs=texts,
        counts={"train": 10, "dev": 5, "test": assessment.num_test},
        findings=[
            Finding("leaks_removed", {"kind": "training", "count": 3, "exact": 1, "near": 2, "lines": "1 and 2"}),
            Finding("read_as_cp949", {"source": "<a>.csv"}),
        ],
        trials={"student": [trial, {**trial, "name": "hard", "signal": "hard"}]},
        precisions=[
            PrecisionFact(
                precision="fp32",
                size_bytes=2_000_000,
                latency_ms=0.06,
                agreement=1.0,
                accuracy_change=0.0,
                mean_kl=0.0,
                passed=True,
                chosen=True,
            )
        ],
        spend=SpendFact(num_asked=100, num_reused=20, num_refused={"unknown label <x>": 2}, cost=0.5),
        choice=[Finding("student_default", {"kind": "cnn"})],
        digests={"data": "ab" * 32},
        command="potstill distill '<x>.csv'",
        environment={"python": "3.11"},
        caveats=[Finding("small_dev", {"count": 5})],
        licenses=None,
        passed_on=PassedOn(
            likenesses=[("class <0>", [("class 1", 0.1), ("class 2", 0.05)])],
            examples=soft_labels,
            views=[soft_labels],
        ),
    )
