"""`make demo`: two sources, three destinations with filters, one batching, one calling an API; 1,382 recorded events, and what became of them."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import daemon, recorded_events
from benchmarks.upstream import running

if TYPE_CHECKING:
    from engine.client import Client

HERE = Path(__file__).parent
SOURCES = ("web", "server")
DESTINATIONS: dict[str, dict[str, Any]] = {
    "analytics": {
        "file": "function.py",
        "settings": {"project": "shop", "price_max": 90, "key": "demo-key-123456"},
        "filter": 'drop if type = "page" and name = "Home"',
    },
    "revenue": {
        "file": "revenue.py",
        "settings": {"apiKey": "not a real key"},
        "filter": 'type = "track" and event match "Order*"\nremove context.ip, properties.coupon',
    },
    "warehouse": {
        "file": "warehouse.py",
        "limits": {"batch_size": 50, "batch_wait_ms": 200},
        "filter": 'sample 50% if type = "page" or type = "screen"',
    },
}


def main() -> int:
    """Print outcomes by type and code, a row a destination, and events a second; 0 if the daemon stopped cleanly."""
    events = recorded_events()
    with running() as api, daemon("--allow", "127.0.0.1:*") as (client, process):
        set_up(client, f"{api}/flaky")
        by_type: Counter[tuple[str, str]] = Counter()
        begun = time.perf_counter()
        half = len(events) // 2
        for source, sent in zip(SOURCES, (events[:half], events[half:]), strict=True):
            batches = ([event] for event in sent)
            results = client.submit_many(source, batches, wait=True, to_source=True)
            for event, result in zip(sent, results, strict=True):
                by_type.update({(event["type"], code): count for code, count in result.by_code.items()})
        elapsed_s = time.perf_counter() - begun
        print(f"\n{'type':10} {'outcome':24} {'deliveries':>10}")
        for (kind, code), count in sorted(by_type.items()):
            print(f"{kind:10} {code:24} {count:>10}")
        print_destinations(client)
        deliveries = sum(by_type.values())
        print(
            f"\n{len(events)} events, {deliveries} deliveries in {elapsed_s:.2f} s: {len(events) / elapsed_s:,.0f} events/s,"
            " one event a submit, durable"
        )
        codes = client.show("analytics")["by_code"]
        calls = codes.get("delivered", 0) + codes.get("retry", 0)
        print(f"analytics called its API {calls} times: {calls / elapsed_s:,.0f} HTTP requests/s")
        print_failures(client)
        client.close()
        process.terminate()
        status = process.wait(30)
    print(f"the daemon stopped with status {status}")
    return status


def set_up(client: Client, api: str) -> None:
    """Make the sources, deploy the destinations; `api` is the URL that one of them calls."""
    for source in SOURCES:
        made = client.sources.create(source)
        print(f"source {source}, write key {made['write_keys'][0]}")
    for name, about in DESTINATIONS.items():
        code = (HERE / about["file"]).read_text("utf-8")
        deployed = client.deploy(
            name,
            code,
            settings={**about.get("settings", {}), **({"api": api} if name == "analytics" else {})},
            limits=about.get("limits", {}),
            filter=about["filter"],
            sources=SOURCES,
        )
        handlers = ", ".join(handler["name"] for handler in deployed["handlers"])
        print(f"deployed {name}, version {deployed['version']}: {handlers}")


def print_destinations(client: Client) -> None:
    """A row a destination. What it received ends as filtered, delivered, dropped by its own code, or failed."""
    print(
        f"\n{'destination':12} {'received':>9} {'filtered':>9} {'delivered':>9} {'dropped':>9} {'failed':>9}"
    )
    for name in DESTINATIONS:
        codes = dict(client.show(name)["by_code"])
        received = sum(codes.values())
        filtered, delivered = codes.pop("filtered", 0), codes.pop("delivered", 0)
        dropped = codes.pop("dropped", 0) + codes.pop("unsupported_event_type", 0)
        failed = sum(codes.values())
        print(f"{name:12} {received:>9} {filtered:>9} {delivered:>9} {dropped:>9} {failed:>9}")


def print_failures(client: Client) -> None:
    """The first failure of each code, with what was sent and answered."""
    shown: set[str] = set()
    for line in client.logs("analytics"):
        error = line["error"]
        if not error or line["code"] in shown:
            continue
        shown.add(line["code"])
        what = f"{line['event_type']} {line['delivery']} {line['code']}"
        print(f"\na failure: {what} at line {error['line']}: {error['message']}")
        for request in line["requests"]:
            print(
                f"  {request['method']} {request['url']} → {request['status']} in {request['total_ms']:.1f} ms"
            )
            print(f"  Authorization: {dict(request['request_headers'])['Authorization']}")
            print(f"  sent {request['request_body'][:150]}")
            print(f"  got  {request['response_body']}")


if __name__ == "__main__":
    sys.exit(main())
