"""`make demo`: 1,382 recorded events over HTTP, and what became of them.

Two sources, to which Segment's library sends; three destinations with filters, one batching, one calling an API.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.demo.sending import send
from benchmarks.harness import daemon, http_address, recorded_events
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
    """Print a row a destination, and events a second; 0 if the daemon stopped cleanly."""
    events = recorded_events()
    with (
        tempfile.TemporaryDirectory(prefix="engine-demo-") as folder,
        running() as api,
        daemon(
            *("--allow", "127.0.0.1:*", "--http", "127.0.0.1:0", "--json"), log=(log := Path(folder) / "log")
        ) as (client, process),
    ):
        keys = set_up(client, f"{api}/flaky")
        host = f"http://{http_address(log)}"
        print(f"sending to {host} with Segment's library for Python")
        begun = time.perf_counter()
        half = len(events) // 2
        for key, sent in zip(keys, (events[:half], events[half:]), strict=True):
            send(host, key, sent)
        sent_s = time.perf_counter() - begun
        wait_for_outcomes(client)
        elapsed_s = time.perf_counter() - begun
        print_destinations(client)
        print(
            f"\n{len(events)} events over HTTP in {sent_s:.2f} s: {len(events) / sent_s:,.0f} events/s, durable"
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


def wait_for_outcomes(client: Client, timeout_s: float = 30.0) -> None:
    """Until every event is delivered or given up. Raises `RuntimeError` if that takes too long."""
    deadline = time.monotonic() + timeout_s
    while any(client.show(name)["stored"] for name in DESTINATIONS):
        if time.monotonic() > deadline:
            raise RuntimeError("events are still waiting")
        time.sleep(0.05)


def set_up(client: Client, api: str) -> list[str]:
    """Make the sources, deploy the destinations; `api` is the URL that one of them calls. The sources' write keys."""
    keys = []
    for source in SOURCES:
        made = client.sources.create(source)
        keys.append(made["write_keys"][0])
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
    return keys


def print_destinations(client: Client) -> None:
    """A row a destination. What it received ends as filtered, delivered, dropped by its own code, or failed."""
    print(
        f"\n{'destination':12} {'received':>9} {'filtered':>9} {'delivered':>9} {'dropped':>9} {'failed':>9}"
    )
    for name in DESTINATIONS:
        codes = dict(client.show(name)["by_code"])
        codes.pop("retry", None)  # those came again, and ended otherwise
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
