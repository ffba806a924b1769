"""`potstill fleet rollout`: rings open as the reports allow, or by hand."""

from __future__ import annotations

import argparse

from potstill.cli.fleet.options import add_fleet, fleet_of, shares
from potstill.cli.output import Result
from potstill.errors import ConfigurationError
from potstill.fleet.publisher.rollout import Rollout, Rules, open_next, open_to, with_rules
from potstill.fleet.publisher.steer import advance, change, lines_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fleet rollout`."""
    add_fleet(parser)
    parser.add_argument("--model", default="", help="name of the line of models; all when left out")
    parser.add_argument("--cohort", default="", help="group of devices; all when left out")
    by_hand = parser.add_mutually_exclusive_group()
    by_hand.add_argument("--approve", action="store_true", help="open the next ring now")
    by_hand.add_argument(
        "--to", default="", metavar="PERCENT", help="open rings up to this one now, whatever was reported"
    )
    parser.add_argument("--success", type=float, help="share of a ring that must have kept the release (0.9)")
    parser.add_argument("--errors", type=float, help="share of a ring that may give it up before all stops (0.1)")
    parser.add_argument("--min-devices", type=int, help="that a ring must hold before the next one opens by itself (1)")
    parser.add_argument("--approval", choices=["yes", "no"], help="must a person open each ring?")


def main(args: argparse.Namespace) -> Result:
    """One step of every rollout that is meant; call it as often as you like."""
    fleet = fleet_of(args)
    chosen = [(c, m) for c, m in lines_of(fleet) if args.cohort in ("", c) and args.model in ("", m)]
    if not chosen:
        raise ConfigurationError(f"{args.fleet} rolls out no model {args.model!r} to a cohort {args.cohort!r}")
    share = shares(args.to)[0] if args.to else 0.0

    def by_hand(rollout: Rollout) -> Rollout:
        rollout = with_rules(rollout, _rules(rollout.rules, args))
        if args.approve:
            return open_next(rollout)
        return open_to(rollout, share) if share else rollout

    if (args.approve or share) and len(chosen) > 1:
        raise ConfigurationError("several rollouts are meant; name one with --model and --cohort")
    changed = [change(fleet, cohort, model, by_hand) for cohort, model in chosen]
    if not args.approve and not share:
        changed = [advance(fleet, cohort, model) for cohort, model in chosen]
    text = "\n".join(f"{r.cohort}/{r.model}: {describe(r)}" for r in changed)
    return Result({"rollouts": [rollout.to_json() for rollout in changed]}, text)


def describe(rollout: Rollout) -> str:
    """A rollout in a line."""
    stable = f"stable {rollout.stable}" if rollout.stable else "nothing stable yet"
    if rollout.candidate is None:
        return stable
    return f"{stable}, release {rollout.candidate} at {rollout.share:.0%} ({rollout.state})"


def _rules(rules: Rules, args: argparse.Namespace) -> Rules:
    given = {"success_share": args.success, "error_share": args.errors, "min_devices": args.min_devices}
    values = {name: value for name, value in given.items() if value is not None}
    kept = {name: getattr(rules, name) for name in Rules.__dataclass_fields__}
    approval = rules.approval if args.approval is None else args.approval == "yes"
    return Rules(**{**kept, **values, "approval": approval})
