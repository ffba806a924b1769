"""One round of the loop from devices back to devices.

What they sent back is answered by the teacher, the student goes on from what is deployed,
and the result is published to the first ring if it holds its gate.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

from potstill.errors import ConfigurationError, GateError, IntegrityError
from potstill.fleet.publisher.drift import Drift, find_drift
from potstill.fleet.publisher.inbox import read_records
from potstill.fleet.publisher.place import Fleet
from potstill.fleet.publisher.publish import Published, publish, releases_of
from potstill.fleet.publisher.rollout import read_rollout
from potstill.recipe.load import build_recipe
from potstill.recipe.recipe import Recipe
from potstill.recipe.returned import read_returned, with_rows
from potstill.recipe.run import BUNDLE, RESULT, Run, run
from potstill.recipe.run_folder import RECIPE
from potstill.runtime import load
from potstill.types import Progress


@final
@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """What a round came to.

    Attributes:
        did: `published`, or `nothing` with too few returned rows.
        num_rows: that devices sent back.
        drift: of the devices' inputs.
        run: the new run; None when nothing was done.
        published: the release; None when nothing was done.
        num_changed: returned rows that the new student answers otherwise than the one that sent them.
    """

    did: Literal["nothing", "published"]
    num_rows: int
    drift: Drift
    run: Run | None = None
    published: Published | None = None
    num_changed: int = 0


def refresh(
    before: Path,
    fleet: Fleet,
    *,
    model: str,
    cohort: str,
    out: Path,
    min_rows: int = 20,
    max_drop: float = 0.01,
    rings: Sequence[float] = (),
    store: Path | None = None,
    progress: Progress | None = None,
) -> Refreshed:
    """Does one round.

    Args:
        before: folder of the run whose bundle is deployed; its recipe is used again.
        fleet: whose targets keys are at hand.
        model: name of the line of models.
        cohort: that sent rows and gets the release.
        out: folder of the new run.
        min_rows: returned rows below which nothing is done.
        max_drop: how much less accurate than the run before the new student may be on the same test rows.
        rings: of the rollout.
        store: folder of the teachers' answers.
        progress: where long work says how far it is.

    Raises:
        ConfigurationError: `before` is no finished run, or not what is deployed.
        GateError: the student missed its gate; nothing was published, and the rows are kept for the next round.
        PotstillError: as `run`.
    """
    recipe, result = _run_before(before)
    rollout = read_rollout(fleet, cohort, model)
    deployed = releases_of(fleet, model).get(rollout.stable or 0)
    if deployed is None or deployed.digest != result["bundle_digest"]:
        raise ConfigurationError(
            f"{before} is not what is deployed: release {rollout.stable} of {model!r} in cohort {cohort!r} is another "
            "bundle. Give the run that it was published from."
        )
    bundle = load(before / BUNDLE)
    rate = int(bundle.manifest.preprocess.get("rate", 0))
    rows, files = read_returned(fleet, cohort, bundle.modality, rate)
    drift = find_drift(fleet, rollout, list(read_records(fleet)))
    if len(rows) < min_rows:
        return Refreshed(did="nothing", num_rows=len(rows), drift=drift)
    out.mkdir(parents=True, exist_ok=True)
    data = with_rows(recipe.data, rows, out)
    child = replace(recipe, data=data, parent=str(before / BUNDLE), num_seeds=1)
    done = run(child, out, progress=progress, store=store)
    was, now = float(result["student"]["accuracy"]), float(done.result["student"]["accuracy"])
    if now < was - max_drop:
        raise GateError(
            f"the new student's accuracy is {now:.4f}, that of the deployed one {was:.4f} on the same rows; it may "
            f"lose {max_drop}. Nothing was published. The report is {done.report}"
        )
    released = publish(fleet, done.bundle, model=model, cohorts=[cohort], rings=rings)
    answers = done.student.predict([row.input for row in rows])
    changed = sum(answer.label != row.label for answer, row in zip(answers, rows, strict=True))
    _put_away(files)
    return Refreshed(
        did="published", num_rows=len(rows), drift=drift, run=done, published=released, num_changed=changed
    )


def _run_before(folder: Path) -> tuple[Recipe, dict[str, Any]]:
    if not (folder / RESULT).is_file():
        raise ConfigurationError(f"{folder} is not a finished run. Run `potstill distill ... --out {folder}` first.")
    try:
        values, result = (json.loads((folder / name).read_bytes()) for name in (RECIPE, RESULT))
    except ValueError as error:
        raise IntegrityError(f"{folder} holds a recipe or result that is not what was written: {error}") from error
    if not values["data"]["train"]:
        raise ConfigurationError(f"{folder} learned from rows that lie in no file, so they can't be read again")
    return build_recipe(values), result


def _put_away(files: Sequence[Path]) -> None:
    for path in files:
        target = path.parent.parent / "learned"
        target.mkdir(exist_ok=True)
        path.replace(target / path.name)
