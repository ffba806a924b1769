"""Whom the server may connect to: a name is resolved once, checked, and connected to as it was checked."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from potstill.server.errors import invalid


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet; IPv4 inside IPv6 counts as what it is."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
        if found in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast


class PublicResolver(AbstractResolver):
    """For addresses that a client chose: none of a private network, whatever its name says now or a moment later.

    aiohttp connects to the addresses returned here, so nothing is resolved a second time. It asks no resolver about an
    address written as such; `check_host` is for these.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Public addresses only.

        Raises:
            OSError: there is none.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        addresses = [(entry[0], str(entry[4][0])) for entry in found if is_public(str(entry[4][0]))]
        if not addresses or len(addresses) < len(found):
            raise OSError(None, f"{host} is an address of a private network")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in addresses
        ]

    async def close(self) -> None:
        """Holds nothing."""


def check_host(host: str, param: str) -> None:
    """Refuses addresses of private networks in all their spellings (decimal, octal, short).

    Raises:
        ApiError: 400.
    """
    literal: Any = None
    try:
        literal = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        try:
            literal = ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError, UnicodeError):
            return
    if not is_public(str(literal)):
        raise invalid("Addresses of private networks are not fetched.", param, "private_address")
