"""Pure: is this address a public one? Judged by tables of the special-purpose registries, not by `is_global` alone.

`ipaddress.is_global` says True for NAT64, IPv4-compatible and IPv4-translated addresses, site-local ones, multicast
and others, and differs between interpreters. So IPv6 is refused outside 2000::/3, and whatever special lies inside
it; no form that embeds an IPv4 address passes, even if that address is public: nobody needs it, and what translates
it stands somewhere else.

Sources: the IANA special-purpose address registries of IPv4 and IPv6; RFC 5214 (ISATAP); and the
metadata services of the large clouds, of which two have addresses that look public.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_V4: Final = tuple(
    (IPv4Network(text), reason)
    for text, reason in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by carriers"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's own services"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarks"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_V6_PUBLIC: Final = IPv6Network("2000::/3")
_V6: Final = tuple(
    (IPv6Network(text), reason)
    for text, reason in (
        ("2001::/23", "protocol assignments, Teredo among them"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "embeds an IPv4 address (6to4)"),
        ("3fff::/20", "documentation"),
    )
)
_V6_NAMED: Final = tuple(
    (IPv6Network(text), reason)
    for text, reason in (
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "embeds an IPv4 address (mapped)"),
        ("::ffff:0:0:0/96", "embeds an IPv4 address (translated)"),
        ("::/96", "embeds an IPv4 address (compatible)"),
        ("64:ff9b::/96", "embeds an IPv4 address (NAT64)"),
        ("64:ff9b:1::/48", "embeds an IPv4 address (NAT64)"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
"""Outside 2000::/3 all is refused; these have a better reason to show."""
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})


def why_not_public(address: Address) -> str:
    """The reason that it may not be called, or an empty string if it is public."""
    if isinstance(address, IPv4Address):
        return _listed(address, _V4) or ("" if address.is_global else "special")
    if address.scope_id is not None:
        return "it has a scope"
    if address not in _V6_PUBLIC:
        return _listed(address, _V6_NAMED) or "outside the public range"
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return "embeds an IPv4 address (ISATAP)"
    return _listed(address, _V6) or ("" if address.is_global else "special")


def _listed(address: Address, table: tuple[tuple[Network, str], ...]) -> str:
    return next((reason for network, reason in table if address in network), "")


def parse_address(text: str) -> Address | None:
    """A literal in its one strict spelling (`1.2.3.4`, `2001:db8::1`), or None. Leading zeros and scopes are none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if "%" in text else address
