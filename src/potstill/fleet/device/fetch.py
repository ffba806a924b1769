"""Where metadata and targets come from: a web server, or a folder that was copied from one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher

from potstill import __version__

NOT_FOUND: Final = 404
CHUNK_BYTES = 400_000
TIMEOUT_S = 30


class FolderFetcher(FetcherInterface):
    """Reads a copy of a repository from a disk, as from a USB stick."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = Path(url2pathname(unquote(urlsplit(url).path)))
        if not path.is_file():
            # What a web server would say; the end of a chain of roots is found by it.
            raise DownloadHTTPError(f"{path} is not there", NOT_FOUND)
        return _chunks(path)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece


def fetcher_for(source: str) -> tuple[FetcherInterface, str]:
    """What fetches, and the address of the repository."""
    if urlsplit(source).scheme in ("http", "https"):
        return Urllib3Fetcher(socket_timeout=TIMEOUT_S, app_user_agent=f"potstill/{__version__}"), source
    return FolderFetcher(), Path(source).absolute().as_uri()
