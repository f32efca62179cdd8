"""Twenty destinations: quick, slow, batching, failing in every way. Each says whose event it handles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_SAY: Final = "    console.log(event['messageId'])\n"
_SAY_ALL: Final = "    for event in events: console.log(event['messageId'])\n"


@dataclass(frozen=True, slots=True)
class Function:
    """A function, the limits of its destinations, and how many of them there are."""

    name: str
    source: str
    count: int = 1
    limits: dict[str, int] = field(default_factory=dict)
    latency_s: float = 0.0
    """No event of it ends earlier; less what an acknowledgement may be late."""


RATE: Final = {"rate_per_s": 200}
"""Four times what comes: what waited while a process was dead isn't let go faster than it can be watched."""
RETRY: Final = {**RATE, "retry_first_ms": 100, "retry_cap_ms": 2_000}
FUNCTIONS: Final = (
    Function("quick", f"def on_track(event):\n{_SAY}    return 1\n", count=6, limits=RATE),
    Function(
        "late",
        f"import asyncio\nasync def on_track(event):\n{_SAY}    await asyncio.sleep(0.6)\n",
        count=2,
        limits={**RATE, "concurrency": 200},
        latency_s=0.5,
    ),
    Function(
        "slow",
        f"import time\ndef on_track(event):\n{_SAY}    time.sleep(0.02)\n",
        count=2,
        limits={**RATE, "concurrency": 4},
    ),
    Function(
        "batching",
        f"def on_batch(events):\n{_SAY_ALL}    return [{{'status': 200}} for event in events]\n",
        count=3,
        limits={"batch_wait_ms": 1_000, "batch_size": 400},
    ),
    Function(
        "rejecting",
        f"def on_track(event):\n{_SAY}    if event['n'] % 3 == 0: raise ValidationError('no')\n",
        count=2,
        limits=RATE,
    ),
    Function(
        "flaky",
        f"import random\ndef on_track(event):\n{_SAY}    if random.random() < 0.2: raise RetryError('again')\n",
        count=2,
        limits=RETRY,
    ),
    Function(
        "hanging",
        f"def on_track(event):\n{_SAY}    while event['n'] % 50 == 0: pass\n",
        limits={**RETRY, "timeout_ms": 200, "retry_for_s": 3},
    ),
    Function(
        "dying",
        f"def on_track(event):\n{_SAY}    raise RetryError('never')\n",
        limits={**RETRY, "retry_for_s": 3},
    ),
    Function("broken", f"def on_track(event):\n{_SAY}    raise ValueError('always')\n", limits=RATE),
)
