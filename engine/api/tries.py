"""Failed tries to be somebody, bounded by where they come from: `TRIES_MAX` at once, then one every `TRY_EVERY_MS`."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engine.clock import Clock

TRIES_MAX: Final = 10
TRY_EVERY_MS: Final = 6_000
PLACES_MAX: Final = 4_096
"""Places that are remembered; beyond it the one that failed longest ago is forgotten."""


class Tries:
    """Of each place the time at which it will have paid for its failures: one number, whatever it does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paid_at_ms: OrderedDict[str, int] = OrderedDict()

    def failed(self, place: str) -> int:
        """Count one. Milliseconds to wait before the next; 0 while it is within bounds."""
        now_ms = self._clock.now_ms()
        paid_at_ms = max(self._paid_at_ms.pop(place, now_ms), now_ms)
        over_ms = paid_at_ms - now_ms - (TRIES_MAX - 1) * TRY_EVERY_MS
        # What is over the bound isn't charged: whoever goes on trying isn't shut out for longer and longer.
        self._paid_at_ms[place] = paid_at_ms if over_ms > 0 else paid_at_ms + TRY_EVERY_MS
        while len(self._paid_at_ms) > PLACES_MAX:
            self._paid_at_ms.popitem(last=False)
        return max(0, over_ms)


def place_of(address: str) -> str:
    """What an address counts as: of IPv6 the /64, which is one customer's; other text stands for itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))
