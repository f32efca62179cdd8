"""Pure: may this be sent, and to that address? Everything that is refused is refused here, with what to do about it.

    parse_target(url) ─► Rules.check_target ─► (resolve) ─► Rules.check_address, each ─► connect to that address
                                  ▲                                                       │
                                  └───────────────── follow(status, location) ◄───────────┘

The text of a host is never what decides: `127.1`, `0177.0.0.1` and full-width digits mean loopback to a resolver, so
that the address that is about to be connected to is judged, at each connection.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, urljoin

import idna

from engine.egress.addresses import Address, Network, parse_address, why_not_public
from sandbox.fetch_wire import HEADER_BYTES_MAX, HEADERS_MAX, URL_CHARS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

REDIRECTS_MAX: Final = 5
ORIGINS_KEPT: Final = 512
"""Of all destinations, taken apart: a cache of what is decided by the text alone."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
"""RFC 9110, 5.6.2: what a method and a header's name are made of."""
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\uffff\U00010000-\U0010ffff]*")
"""RFC 9110, 5.5, and what UTF-8 makes of the rest: no control character but a tab."""
_URL: Final = re.compile(r"(?s)([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?")
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_HOST: Final = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)
_NUMERIC: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
"""A host whose last label is a number is an address to most resolvers, in one spelling or another."""
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\x9f\\\s]")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")

OURS: Final = frozenset(
    "host content-length transfer-encoding connection keep-alive proxy-connection proxy-authenticate"
    " proxy-authorization te trailer upgrade expect".split()
)
"""Said by us, or between us and the next hop only: what a handler says of them is left out, and what a server does."""
_REFUSED_METHODS: Final = frozenset({"CONNECT", "TRACE"})
CREDENTIALS: Final = frozenset({"authorization", "cookie"})
"""Not sent on when a redirect leads to another origin; the operator may name more."""


class Refused(Exception):
    """It may not be sent. `code` is one of `sandbox.fetch_wire.FAILURES`: `refused`, `invalid`, `too_large`."""

    def __init__(self, message: str, code: str = "refused") -> None:
        super().__init__(message)
        self.code = code


class Target(NamedTuple):
    """A URL, taken apart once."""

    scheme: str
    host: str
    """ASCII, lower case, without brackets and without a final dot."""
    port: int
    rest: str
    """Path and query, ASCII; begins with a slash."""
    address: Address | None
    """Of a host that is a literal."""
    authority: str
    """What `Host` says: host, and port if it isn't the scheme's own."""

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials belong to."""
        return self.scheme, self.host, self.port

    @property
    def url(self) -> str:
        """In its one spelling."""
        return f"{self.scheme}://{self.authority}{self.rest}"


def parse_target(url: str) -> Target:
    """Take a URL apart. Raises `Refused` unless it is http or https, and spelt without doubt."""
    if len(url) > URL_CHARS_MAX:
        raise Refused(f"the URL is longer than {URL_CHARS_MAX} characters", "invalid")
    if found := _FORBIDDEN.search(url):
        raise Refused(
            f"the URL contains {found.group()!r} at {found.start()}; encode it (urllib.parse.quote)",
            "invalid",
        )
    match = _URL.fullmatch(url)
    if match is None:
        raise Refused("the URL is no absolute URL; write https://host/path", "invalid")
    scheme, authority, path, query = match.groups()
    host, number, address, authority = _origin(scheme.lower(), authority)
    rest = (path if path.startswith("/") else "/") + (query or "")
    if not rest.isascii():
        rest = _NOT_ASCII.sub(lambda found: quote(found.group()), rest)
    return Target(scheme.lower(), host, number, rest, address, authority)


@functools.lru_cache(maxsize=ORIGINS_KEPT)
def _origin(scheme: str, authority: str) -> tuple[str, int, Address | None, str]:
    """Host, port, the address of a literal, and the authority in its one spelling. Functions call few origins, and those again and again."""
    if scheme not in DEFAULT_PORTS:
        raise Refused(f"{scheme}: URLs can't be fetched; only http and https can")
    if "@" in authority:
        raise Refused("the URL holds a user name; send an Authorization header instead")
    split = _AUTHORITY.fullmatch(authority)
    if split is None:
        raise Refused("the URL's host or port can't be read", "invalid")
    host, port = split.groups()
    host, address = _host(host)
    number = DEFAULT_PORTS[scheme] if port is None else int(port)
    if not 0 < number < 65_536:
        raise Refused(f"there is no port {number}", "invalid")
    place = f"[{host}]" if ":" in host else host
    return host, number, address, place if number == DEFAULT_PORTS[scheme] else f"{place}:{number}"


def _host(text: str) -> tuple[str, Address | None]:
    if text.startswith("["):
        address = parse_address(text[1:-1])
        if address is None or address.version != 6:
            raise Refused("what stands in brackets is no IPv6 address", "invalid")
        return str(address), address
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise Refused(f"the host is no domain name: {error}", "invalid") from None
    host = text.lower().removesuffix(".")
    if not host or len(host) > 253 or not _HOST.fullmatch(host):
        raise Refused("the URL's host is no domain name", "invalid")
    if _NUMERIC.fullmatch(host):
        address = parse_address(host)
        if address is None:
            raise Refused(
                f"the host {host} is an odd spelling of an address; write it as four decimal numbers"
            )
        return host, address
    return host, None


# --- Methods and headers


def check_method(method: str) -> str:
    """The method in capitals. Raises `Refused` if it is no token, or opens a tunnel."""
    if not _TOKEN.fullmatch(method) or len(method) > 32:
        raise Refused("the method is no token (letters, digits, -)", "invalid")
    name = method.upper()
    if name in _REFUSED_METHODS:
        raise Refused(f"the method {name} can't be used")
    return name


def check_headers(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers to send, without those that are ours to say. Raises `Refused` on what is no header, or too much."""
    if len(headers) > HEADERS_MAX:
        raise Refused(f"more than {HEADERS_MAX} headers", "invalid")
    kept, size = [], 0
    for name, value in headers:
        size += len(name) + len(value)
        if size > HEADER_BYTES_MAX:
            raise Refused(f"the headers are longer than {HEADER_BYTES_MAX} bytes together", "invalid")
        if not _TOKEN.fullmatch(name):
            raise Refused(f"{name[:40]!r} is no header's name", "invalid")
        if not _VALUE.fullmatch(value):
            raise Refused(f"the header {name} holds a control character", "invalid")
        if name.lower() not in OURS:
            kept.append((name, value.strip(" \t")))
    return kept


# --- Redirects


class Step(NamedTuple):
    """The request that follows a redirect."""

    method: str
    target: Target
    headers: list[tuple[str, str]]
    body: bytes


def follow(
    status: int, location: str | None, step: Step, secret_names: frozenset[str] = CREDENTIALS
) -> Step | None:
    """The request that a response asks for, or None if it asks for none. Raises `Refused` if it leads astray.

    RFC 9110, 15.4, as clients do it: 303 becomes GET, so does a POST after 301 and 302; 307 and 308 repeat the
    request. `secret_names` (lower case) stay with the origin they were meant for.
    """
    if status not in _REDIRECTS or not location:
        return None
    target = parse_target(urljoin(step.target.url, location))
    method, headers, body = step.method, step.headers, step.body
    if (status == 303 and method != "HEAD") or (status in {301, 302} and method == "POST"):
        method, body = "GET", b""
        headers = [pair for pair in headers if not pair[0].lower().startswith("content-")]
    if target.origin != step.target.origin:
        headers = [pair for pair in headers if pair[0].lower() not in secret_names]
    return Step(method, target, headers, body)


# --- Lists of the operator


@dataclass(frozen=True, slots=True)
class Pattern:
    """`api.example.com`, `*.example.com:8443`, `10.1.0.0/16:*`, `[fd00::/8]:443`: a host or network, and a port.

    Without a port it stands for 80 and 443, in a list that allows; for all ports, in one that denies.
    """

    host: str
    """Lower case; `*.x` is every name below x; `*` is every name. Empty if it is a network."""
    network: Network | None
    port: int | None
    """0 is every port."""

    def is_of_port(self, port: int, default: Iterable[int] | None) -> bool:
        """`default` are the ports it stands for if it names none; None is all."""
        if self.port is None:
            return default is None or port in default
        return self.port in {0, port}

    def is_of_host(self, host: str) -> bool:
        """It names this host."""
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        return bool(self.host) and self.host in {host, "*"}

    def holds(self, address: Address) -> bool:
        """It names a network that this address lies in."""
        return self.network is not None and address in self.network


def parse_pattern(text: str) -> Pattern:
    """Read an entry of a list. Raises `ValueError` saying what is wrong with it."""
    match = re.fullmatch(
        r"(\[[^\]]+\]|[^:\[\]]+|[0-9A-Fa-f:.]+:[0-9A-Fa-f:.]*(?:/\d+)?)(?::(\*|\d{1,5}))?", text
    )
    if match is None:
        raise ValueError(f"{text!r} is no host, network or address, with or without :PORT")
    place, port_text = match.group(1).strip("[]").lower(), match.group(2)
    port = None if port_text is None else 0 if port_text == "*" else int(port_text)
    if port is not None and port_text != "*" and not 0 < port < 65_536:
        raise ValueError(f"{text!r}: there is no port {port_text}")
    try:
        return Pattern("", ipaddress.ip_network(place), port)
    except ValueError:
        if "/" in place or ":" in place:
            raise ValueError(
                f"{text!r} is no network: bits are set beyond its prefix, or it can't be read"
            ) from None
    name = place.removeprefix("*.") if place != "*" else "any"
    if not _HOST.fullmatch(name) or _NUMERIC.fullmatch(name):
        raise ValueError(f"{text!r} is no host, network or address, with or without :PORT")
    return Pattern(place, None, port)


@dataclass(frozen=True, slots=True)
class Rules:
    """What one destination may call: the operator's lists, global and its own together. What denies wins."""

    allow: tuple[Pattern, ...] = ()
    deny: tuple[Pattern, ...] = ()
    own: frozenset[Address] = field(default_factory=frozenset)
    """The machine's own addresses."""

    def check_target(self, target: Target) -> None:
        """Before anything is resolved. Raises `Refused`."""
        host, port = target.host, target.port
        if self.deny and any(entry.is_of_host(host) and entry.is_of_port(port, None) for entry in self.deny):
            raise Refused(f"{host} is on the operator's deny-list")
        if port in _WEB_PORTS:
            pass
        elif not any(
            entry.is_of_port(port, _WEB_PORTS) and (entry.network is not None or entry.is_of_host(host))
            for entry in self.allow
        ):
            raise Refused(f"port {port} of {host} may not be called: {_remedy(host, port)}")
        if target.address is not None:
            self.check_address(target, target.address)

    def check_address(self, target: Target, address: Address) -> None:
        """Of each address that the host has, and of that which is connected to. Raises `Refused`."""
        host, port = target.host, target.port
        if self.deny and any(entry.holds(address) and entry.is_of_port(port, None) for entry in self.deny):
            raise Refused(f"{_named(host, address)} is on the operator's deny-list")
        if any(
            (entry.is_of_host(host) or entry.holds(address)) and entry.is_of_port(port, _WEB_PORTS)
            for entry in self.allow
        ):
            return
        reason = "the engine's own address" if address in self.own else why_not_public(address)
        if reason:
            raise Refused(f"{_named(host, address)} is not public ({reason}): {_remedy(host, port)}")
        if port not in _WEB_PORTS:
            raise Refused(f"port {port} of {host} may not be called: {_remedy(host, port)}")


_WEB_PORTS: Final = frozenset(DEFAULT_PORTS.values())


def _named(host: str, address: Address) -> str:
    return host if host == str(address) else f"{host} ({address})"


def _remedy(host: str, port: int) -> str:
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"the operator can allow it (egress_allow, or --allow {place})"
