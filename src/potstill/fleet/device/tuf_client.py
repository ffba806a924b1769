"""The device's client with the three verbs that the public conformance suite of The Update Framework calls."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from potstill.errors import ConfigurationError, UpdateRefusedError
from potstill.fleet.device.fetch import fetcher_for
from potstill.fleet.device.metadata import explained


def init(metadata_dir: Path, trusted_root: Path) -> None:
    """Trusts a root.

    Raises:
        ConfigurationError: it can't be read.
    """
    metadata_dir.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(trusted_root, metadata_dir / "root.json")
    except OSError as error:
        raise ConfigurationError(f"the root can't be read: {error}") from error


def refresh(metadata_url: str, metadata_dir: Path) -> None:
    """Fetches and verifies the newest metadata.

    Raises:
        PotstillError: it was refused, or the server can't be reached.
    """
    download(metadata_url, metadata_dir, (), None, "")


def download(
    metadata_url: str, metadata_dir: Path, names: Sequence[str], target_dir: Path | None, base_url: str
) -> list[Path]:
    """Refreshes, then fetches and verifies targets that are not there yet.

    Raises:
        PotstillError: something was refused, or the server can't be reached.
    """
    from tuf.ngclient import Updater, UpdaterConfig

    config = UpdaterConfig()
    found = []
    with explained(metadata_url):
        updater = Updater(
            str(metadata_dir),
            metadata_url,
            str(target_dir) if target_dir else None,
            base_url or None,
            fetcher=fetcher_for(metadata_url)[0],
            config=config,
            bootstrap=None,
        )
        updater.refresh()
        for name in names:
            info = updater.get_targetinfo(name)
            if info is None:
                raise UpdateRefusedError(f"there is no target {name!r}")
            path = updater.find_cached_target(info) or updater.download_target(info)
            found.append(Path(path))
    return found
