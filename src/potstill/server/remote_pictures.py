"""Pictures behind https addresses, from hosts that the administrator named, and from nowhere else."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from potstill.errors import ConfigurationError, DataError
from potstill.files import write_atomic
from potstill.runtime.media import read_picture
from potstill.server.training_files.pictures import MAX_BYTES, Image, checked_image, read_image, url_of

ENTRY = re.compile(r"([a-z0-9.-]*[a-z][a-z0-9.-]*)(?::(\d{1,5}))?(?:=(.+))?")
MAX_REDIRECTS = 3
TIMEOUT_S = 20.0
AT_ONCE = 8
MAX_JOB_BYTES = 8 << 30
"""Of all pictures that one job fetches."""
NAT64 = ipaddress.ip_network("64:ff9b::/96")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@final
@dataclass(frozen=True, slots=True)
class RemotePictures:
    """Fetches from an allow-list.

    A name is resolved once, all its addresses are checked, and the connection goes to one of these; every redirect is
    a new address with the same checks. So a name can't lead to a service of this machine or its network, unless the
    administrator names that network.

    Attributes:
        hosts: (name, port) -> the network that its addresses must lie in; None: public addresses.
    """

    hosts: Mapping[tuple[str, int], Network | None] = field(default_factory=dict)

    def allows(self, url: str) -> bool:
        """Whether an address may be asked at all."""
        try:
            self._check(URL(url))
        except (_RefusedError, ValueError):
            return False
        return True

    def presume(self, value: Any) -> Image:
        """As `read_image`, and what would be fetched counts as a picture."""
        return Image(b"?") if self.allows(url_of(value)) else read_image(value)

    async def fetch(self, url: str) -> Image:
        """The bytes of a picture, or why there are none."""
        if not self.hosts:
            return Image(reason="inaccessible URL")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return checked_image(await self._content(URL(url)))
        except _RefusedError as error:
            return Image(reason=str(error))
        except TimeoutError:
            return Image(reason=f"inaccessible URL: no picture within {TIMEOUT_S:g} s")
        except (aiohttp.ClientError, ValueError, OSError):
            return Image(reason="inaccessible URL: no connection")

    async def _content(self, url: URL) -> bytes:
        connector = aiohttp.TCPConnector(
            resolver=_Checked(self), ssl=ssl.create_default_context(), use_dns_cache=False, force_close=True
        )
        headers = {"accept": "image/jpeg, image/png, image/webp", "accept-encoding": "identity"}
        # No proxy and no credentials from the environment, and no cookies from one redirect to the next.
        async with aiohttp.ClientSession(
            connector=connector, trust_env=False, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            for _ in range(1 + MAX_REDIRECTS):
                self._check(url)
                async with session.get(url, headers=headers, allow_redirects=False) as response:
                    if response.status in (301, 302, 303, 307, 308):
                        url = url.join(URL(response.headers.get("location", "")))
                        continue
                    if response.status != 200:
                        raise _RefusedError(f"inaccessible URL: status {response.status}")
                    return await _limited(response)
        raise _RefusedError(f"inaccessible URL: more than {MAX_REDIRECTS} redirects")

    def _check(self, url: URL) -> None:
        # yarl has read the address, and aiohttp connects to what yarl has read.
        if url.scheme != "https" or url.user or url.password:
            raise _RefusedError("inaccessible URL: not a plain https address")
        if (url.raw_host or "", url.port or 443) not in self.hosts:
            raise _RefusedError("inaccessible URL: this server takes no pictures from there")


NO_PICTURES = RemotePictures()


class _RefusedError(DataError):
    """A picture that isn't fetched; the text is the reason."""


class _Checked(AbstractResolver):
    """Resolves a name and refuses addresses that it must not have."""

    def __init__(self, pictures: RemotePictures) -> None:
        self._hosts = pictures.hosts
        self._system = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        """As the system says, all or nothing."""
        if (host, port) not in self._hosts:
            raise _RefusedError("inaccessible URL: this server takes no pictures from there")
        network = self._hosts[host, port]
        found = await self._system.resolve(host, port, family)
        for each in found:
            address = ipaddress.ip_address(each["host"])
            if not (is_public(address) if network is None else address in network):
                raise _RefusedError("inaccessible URL: it leads to an address that this server doesn't ask")
        return found

    async def close(self) -> None:
        """Nothing is kept."""


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Of the public internet: neither private nor local, and no wrapping of an older address that could be."""
    if address.version == 6 and (address.ipv4_mapped or address.sixtofour or address.teredo or address in NAT64):
        return False
    return address.is_global and not address.is_multicast


def read_hosts(options: Sequence[str]) -> RemotePictures:
    """Reads HOST, HOST:PORT and HOST=NETWORK.

    Raises:
        ConfigurationError: not of this form.
    """
    hosts: dict[tuple[str, int], Network | None] = {}
    for option in options:
        match = ENTRY.fullmatch(option.lower())
        try:
            network = ipaddress.ip_network(match[3]) if match and match[3] else None
        except ValueError:
            match = None
        if match is None:
            raise ConfigurationError(
                f"--allow-images-from {option}: expected HOST or HOST:PORT, a name such as images.example.com, and "
                "=NETWORK behind it (10.0.0.0/8) where its addresses are not public."
            )
        hosts[match[1], int(match[2] or 443)] = network
    return RemotePictures(hosts)


async def fetch_all(urls: Sequence[str], pictures: RemotePictures, folder: Path) -> None:
    """Fetches what a job needs into a folder, some at once; what was tried before stays as it was.

    A reason for a failure is kept like a picture, so that a job which goes on sees the same rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    waiting = iter(dict.fromkeys(urls))
    size = 0

    async def work() -> None:
        nonlocal size
        for url in waiting:
            place = _place(folder, url)
            if place.exists() or place.with_suffix(".reason").exists():
                continue
            found = await pictures.fetch(url) if size < MAX_JOB_BYTES else Image(reason="too many bytes of pictures")
            found = await asyncio.to_thread(_readable, found)
            size += len(found.content)
            if found.reason:
                write_atomic(place.with_suffix(".reason"), found.reason.encode())
            else:
                write_atomic(place, found.content)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def read_fetched(folder: Path, value: Any) -> Image:
    """As `read_image`, with what `fetch_all` has fetched."""
    url = url_of(value)
    place = _place(folder, url)
    if place.exists():
        return Image(place.read_bytes())
    reason = place.with_suffix(".reason")
    return Image(reason=reason.read_text("utf-8")) if reason.exists() else read_image(value)


def _place(folder: Path, url: str) -> Path:
    return folder / hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def _readable(found: Image) -> Image:
    """Whether a picture can be read, and isn't larger than one may be."""
    try:
        if not found.reason:
            read_picture(found.content)
    except DataError as error:
        return Image(reason=f"invalid image format: {error}")
    return found


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > MAX_BYTES:
            raise _RefusedError("image too large")
        pieces.append(piece)
    return b"".join(pieces)
