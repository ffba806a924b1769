"""`potstill device tuf-client`: the device's verification for any repository of The Update Framework.

Its arguments are those that the public suite theupdateframework/tuf-conformance calls.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.output import Result
from potstill.errors import ConfigurationError, PotstillError
from potstill.fleet.device.metadata import need_tuf


class ClientError(PotstillError):
    """A refusal, with the exit code that the suite expects of every one."""

    exit_code = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `device tuf-client`."""
    parser.add_argument("--metadata-url", default="", help="address of the metadata")
    parser.add_argument("--metadata-dir", type=Path, required=True, help="folder of verified metadata")
    parser.add_argument("--target-name", action="append", default=[], help="path of a target")
    parser.add_argument("--target-dir", type=Path, help="folder of verified targets")
    parser.add_argument("--target-base-url", default="", help="address of the targets")
    parser.add_argument("action", choices=["init", "refresh", "download"])
    parser.add_argument("trusted_root", type=Path, nargs="?", help="init: root metadata to trust")


def main(args: argparse.Namespace) -> Result:
    """Does one of the three verbs."""
    need_tuf()
    from potstill.fleet.device import tuf_client

    try:
        if args.action == "init":
            if args.trusted_root is None:
                raise ConfigurationError("init takes the root metadata to trust")
            tuf_client.init(args.metadata_dir, args.trusted_root)
            return Result({"action": "init"}, "")
        if not args.metadata_url:
            raise ConfigurationError(f"{args.action} needs --metadata-url")
        if args.action == "download" and not (args.target_name and args.target_dir and args.target_base_url):
            raise ConfigurationError("download needs --target-name, --target-dir and --target-base-url")
        names = args.target_name if args.action == "download" else []
        found = tuf_client.download(args.metadata_url, args.metadata_dir, names, args.target_dir, args.target_base_url)
    except PotstillError as error:
        raise ClientError(str(error)) from error
    return Result({"action": args.action, "targets": [str(path) for path in found]}, "")
