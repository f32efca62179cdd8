"""The client libraries, as the tests start them: each a process that sends by a plan and reports what it believes.

    python clients.py LIBRARY < plan.json

A plan: {host, key, gzip, batch (events of one), interval_ms, pause_ms (between events), events: [{kind, id, pad}]}.
A report: {sent: [messageId], failed: [messageId]}: what the library calls sent, and what it says that it gave up.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KINDS = ("identify", "track", "page", "screen", "group", "alias")
PYTHON = ("segment-analytics-python", "analytics-python", "rudder-sdk-python")
"""analytics-python 1.4 asks for backoff 1.10, of 2019; what is installed is 2.x, and serves it as well."""
NODE = ("@segment/analytics-node", "@rudderstack/rudder-sdk-node")
WITHOUT_GZIP = ("@segment/analytics-node",)
TIMEOUT_S = 50


def why_not(library: str) -> str:
    """Why it can't run here; "" if it can."""
    if library in PYTHON:
        return ""
    if shutil.which("node") is None:
        return "node isn't installed"
    if not (HERE / "node_modules" / library).is_dir():
        return "`make clients` has not installed it"
    return ""


@dataclass
class Running:
    """A library that is sending."""

    library: str
    process: subprocess.Popen[str]
    ids: list[str]

    def report(self) -> dict[str, list[str]]:
        """Wait for its end."""
        out, errors = self.process.communicate(timeout=TIMEOUT_S)
        assert self.process.returncode == 0, f"{self.library}: {errors[-2000:]}"
        report: dict[str, list[str]] = json.loads(out)
        assert sorted(report["sent"] + report["failed"]) == sorted(self.ids), self.library
        return report


def send(
    library: str,
    host: str,
    key: str,
    ids: list[str],
    *,
    kinds: tuple[str, ...] = KINDS,
    gzip: bool = True,
    batch: int = 20,
    interval_ms: int = 100,
    pause_ms: int = 0,
    pad: str = "",
) -> Running:
    """Start it; the events' types take turns."""
    events = [{"kind": kinds[at % len(kinds)], "id": id_, "pad": pad} for at, id_ in enumerate(ids)]
    plan = {
        "host": host,
        "key": key,
        "gzip": gzip,
        "batch": batch,
        "interval_ms": interval_ms,
        "pause_ms": pause_ms,
        "events": events,
    }
    program = [sys.executable, __file__] if library in PYTHON else ["node", str(HERE / "send.mjs")]
    process = subprocess.Popen(
        [*program, library],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(plan))
    process.stdin.close()
    process.stdin = None
    return Running(library, process, ids)


def _client(library: str, plan: dict[str, Any], on_error: Any) -> Any:
    options: dict[str, Any] = {
        "host": plan["host"],
        "gzip": plan["gzip"],
        "on_error": on_error,
        "upload_size": plan["batch"],
        "upload_interval": plan["interval_ms"] / 1000,
        "max_retries": 20,
    }
    if library == "segment-analytics-python":
        from segment.analytics.client import Client
    elif library == "analytics-python":
        from analytics.client import Client
    else:
        from rudderstack.analytics.client import Client
    return Client(plan["key"], **options)


def main() -> None:
    """In a process of its own."""
    plan = json.load(sys.stdin)
    failed: list[str] = []

    def on_error(_error: Exception, batch: list[dict[str, Any]]) -> None:
        failed.extend(event["messageId"] for event in batch)

    client = _client(sys.argv[1], plan, on_error)
    for number, event in enumerate(plan["events"]):
        kind, fields = event["kind"], {"n": number, "pad": event["pad"]}
        options: dict[str, Any] = {"user_id": f"user {number}", "message_id": event["id"]}
        if kind == "identify":
            options["traits"] = fields
        elif kind == "group":
            options |= {"group_id": "g", "traits": fields}
        elif kind == "alias":
            options["previous_id"] = f"before {number}"
        else:
            options["properties"] = fields
        if kind == "track":
            options["event"] = "Seen"
        if kind in {"page", "screen"}:
            options["name"] = "Home"
        getattr(client, kind)(**options)
        time.sleep(plan["pause_ms"] / 1000)
    client.flush()
    client.join()
    sent = [event["id"] for event in plan["events"] if event["id"] not in set(failed)]
    json.dump({"sent": sent, "failed": failed}, sys.stdout)


if __name__ == "__main__":
    main()
