"""Run with pytest, where `engine` is installed: `deploy` runs the function as the engine does, in a jailed worker."""

import json
from pathlib import Path

EVENT = json.loads((Path(__file__).parent / "events" / "track.json").read_text())
URL = "https://api.example.com/events"


def test_a_track_event_is_sent(deploy):
    fn = deploy("function.py", settings={"prefix": "test", "url": URL})
    fn.mock("POST", URL, status=202)
    result = fn.send(EVENT)
    assert result.ok
    assert result.requests[0].json["name"] == f"test.{EVENT['event']}"


def test_a_busy_api_is_asked_again(deploy):
    fn = deploy("function.py", settings={"prefix": "test", "url": URL})
    fn.mock("POST", URL, status=503)
    assert fn.send(EVENT).error.code == "retry"
