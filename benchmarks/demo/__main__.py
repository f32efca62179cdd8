"""`make demo`: a daemon in a temporary directory, a function, 1,382 recorded events, a table of what became of them."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.harness import daemon, recorded_events

SOURCE = Path(__file__).with_name("function.py")
SETTINGS = {"project": "shop", "price_max": 90}


def main() -> int:
    """Print outcomes by type and code, and events a second; 0 if the daemon stopped cleanly."""
    events = recorded_events()
    with daemon() as (client, process):
        deployed = client.deploy("analytics", SOURCE.read_text("utf-8"), settings=SETTINGS)
        handlers = ", ".join(handler["name"] for handler in deployed["handlers"])
        print(f"deployed analytics, version {deployed['version']}: {handlers}")
        by_type: Counter[tuple[str, str]] = Counter()
        begun = time.perf_counter()
        results = client.submit_many("analytics", ([event] for event in events), wait=True)
        for event, result in zip(events, results, strict=True):
            (code,) = result.by_code
            by_type[event["type"], code] += 1
        elapsed_s = time.perf_counter() - begun
        print(f"\n{'type':10} {'outcome':24} {'events':>6}")
        for (kind, code), count in sorted(by_type.items()):
            print(f"{kind:10} {code:24} {count:>6}")
        rate = len(events) / elapsed_s
        print(
            f"\n{len(events)} events in {elapsed_s:.2f} s: {rate:,.0f} events/s, one event a submit, durable"
        )
        failure = next((line for line in client.logs("analytics") if line["error"]), None)
        if failure is not None:
            error = failure["error"]
            what = f"{failure['event_type']} {failure['delivery']} {failure['code']}"
            print(f"a failure: {what} at line {error['line']}: {error['message']}")
        client.close()
        process.terminate()
        status = process.wait(30)
    print(f"the daemon stopped with status {status}")
    return status


if __name__ == "__main__":
    sys.exit(main())
