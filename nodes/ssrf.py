"""Which addresses a flow may reach: public ones, and what the operator opened by `http.allow_hosts`.

A name is resolved once, every address it has is checked, and the caller connects to one of those very addresses, so
that a second, different answer of the name server is never used. Python's `ipaddress` is not asked what is global:
3.11 takes 64:ff9b::7f00:1, 2002:7f00:1:: and fec0::1 for global addresses.

Source: IANA special-purpose address registries (IPv4, IPv6); the clouds' metadata addresses.
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from nodes.context import HttpRules, Resolve
from nodes.errors import NodeError, SealedNetworkError

WAY_OUT = "an operator can open it: `http.allow_hosts` in modelbridge.yaml, or MODELBRIDGE_HTTP_ALLOW_HOSTS"

_SEALED_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared with the carrier; also Alibaba metadata"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "Azure host services"),
        ("169.254.0.0/16", "link-local; also cloud metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "IETF protocol assignments; also Oracle metadata"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved or broadcast"),
    )
)
_SEALED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::1/128", "loopback"),
        ("::/96", "unspecified or IPv4-compatible"),
        ("64:ff9b::/96", "NAT64: leads to any IPv4 address"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("100::/64", "discard"),
        ("2001::/23", "IETF protocol assignments; Teredo"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4: leads to any IPv4 address"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "private; also AWS metadata"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
_SEALED_NAMES = ("localhost", "internal", "local", "localdomain", "home.arpa")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request may go: the name it asked for, and the checked addresses, any of which may be connected to."""

    host: str
    port: int
    addresses: tuple[str, ...]


async def checked_destination(host: str, port: int, rules: HttpRules) -> Destination:
    """Resolve `host` once and check what it means.

    Raises:
        SealedNetworkError: The name or one of its addresses is not public and not opened.
        NodeError: The name has no address (`unavailable`).
    """
    name = _plain(host)
    if not name:
        raise SealedNetworkError("the URL names no host")
    is_open = _is_opened(name, port, rules.allow_hosts)
    sealed = None if is_open else _sealed_name(name)
    if sealed:
        raise SealedNetworkError(f"http: {name} is a name of a private network ({sealed}); {WAY_OUT}")
    addresses = await _resolved(name, port, rules.resolve or system_resolve)
    for address in addresses:
        reason = None if is_open else sealed_reason(address)
        if reason and not _is_opened(address, port, rules.allow_hosts):
            shown = address if address == name else f"{name} is {address}, which"
            raise SealedNetworkError(f"http: {shown} is not a public address ({reason}); {WAY_OUT}")
    return Destination(host=name, port=port, addresses=addresses)


def sealed_reason(address: str) -> str | None:
    """Why the address is not public; None when it is. What is no address at all is not public."""
    if "%" in address:
        return "an address with a zone"
    try:
        parsed = ip_address(address)
    except ValueError:
        return "no IP address"
    if isinstance(parsed, IPv6Address):
        return _sealed_v4(parsed.ipv4_mapped) if parsed.ipv4_mapped is not None else _sealed_v6(parsed)
    return _sealed_v4(parsed)


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """The addresses the system's resolver gives, in its order, each once. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


async def _resolved(name: str, port: int, resolve: Resolve) -> tuple[str, ...]:
    literal = _as_address(name)
    if literal is not None:
        return (literal,)
    try:
        found = tuple(await resolve(name, port))
    except (OSError, UnicodeError) as error:
        raise NodeError(f"http: {name} has no address: {error}", error_class="unavailable") from error
    if not found:
        raise NodeError(f"http: {name} has no address", error_class="unavailable")
    return found


def _sealed_v4(address: IPv4Address) -> str | None:
    return next((reason for network, reason in _SEALED_V4 if address in network), None)


def _sealed_v6(address: IPv6Address) -> str | None:
    known = next((reason for network, reason in _SEALED_V6 if address in network), None)
    return known or (None if address in _GLOBAL_UNICAST_V6 else "outside the global unicast range")


def _sealed_name(name: str) -> str | None:
    return next((f".{end}" for end in _SEALED_NAMES if name == end or name.endswith(f".{end}")), None)


def _is_opened(host: str, port: int, allowed: frozenset[str]) -> bool:
    return any(_plain(name) == host and wanted in {None, port} for name, wanted in map(_host_and_port, allowed))


def _host_and_port(entry: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[v6]:port` or a bare IPv6 address."""
    if _as_address(_plain(entry)) is not None:
        return entry, None
    host, colon, port = entry.rpartition(":")
    return (host, int(port)) if colon and port.isdigit() else (entry, None)


def _plain(host: str) -> str:
    """Lower case, without brackets and final dot; addresses in their canonical spelling."""
    name = host.strip().lower().removeprefix("[").removesuffix("]").rstrip(".")
    return _as_address(name) or name


def _as_address(text: str) -> str | None:
    try:
        return str(ip_address(text))
    except ValueError:
        return None
