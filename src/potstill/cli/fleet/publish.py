"""`potstill fleet publish`: a bundle as the next release."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill import __version__
from potstill.cli.fleet.options import add_fleet, fleet_of, shares
from potstill.cli.output import Result, size, table
from potstill.errors import ConfigurationError
from potstill.fleet.formats.health import HealthRules
from potstill.fleet.publisher.publish import publish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fleet publish`."""
    add_fleet(parser, offline=True)
    parser.add_argument("bundle", type=Path, nargs="?", help="folder or .zip of a bundle")
    parser.add_argument("--model", required=True, help="name of the line of models")
    parser.add_argument("--cohort", action="append", default=[], help="group of devices; all when left out")
    parser.add_argument(
        "--again", type=int, metavar="VERSION", help="release the bytes of an old version anew, as a rollback"
    )
    parser.add_argument("--rings", default="", metavar="5,25,100", help="percentages of the devices, one after another")
    parser.add_argument("--device-class", action="append", default=[], help="kind of device that it is for; all")
    parser.add_argument("--min-runtime", default=__version__, help="lowest version of potstill on the device")
    parser.add_argument(
        "--health", action="append", default=[], metavar="num_predictions=200", help="a limit of the health window"
    )


def main(args: argparse.Namespace) -> Result:
    """Signs and begins a rollout."""
    done = publish(
        fleet_of(args),
        args.bundle,
        model=args.model,
        cohorts=args.cohort,
        again=args.again,
        device_classes=args.device_class,
        min_runtime=args.min_runtime,
        health=health_rules(args.health),
        rings=shares(args.rings) if args.rings else (),
    )
    facts = done.facts
    lines = [f"release {facts.version} of {facts.model}, {size(facts.size_bytes)}, {facts.digest[:12]}"]
    lines += [f"  {rollout.cohort}: {rollout.log[-1]['what']}" for rollout in done.rollouts]
    if done.deltas:
        rows = [[d.file, d.method, size(len(d.content)), f"{d.share:.2%}"] for d in done.deltas]
        lines.append(table(["delta of", "way", "size", "of the file"], rows))
    return Result(done.to_json(), "\n".join(lines))


def health_rules(options: list[str]) -> HealthRules:
    """Limits as they were given.

    Raises:
        ConfigurationError: an unknown one, or no number.
    """
    values = {}
    for option in options:
        name, _, amount = option.partition("=")
        if name not in HealthRules.__dataclass_fields__:
            known = ", ".join(HealthRules.__dataclass_fields__)
            raise ConfigurationError(f"--health {option}: there is no limit {name!r}; there are {known}")
        values[name] = amount
    try:
        return HealthRules.from_json(values)
    except ValueError as error:
        raise ConfigurationError(f"--health {' '.join(options)}: {error}") from error
