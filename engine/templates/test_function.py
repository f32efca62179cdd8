"""Run with pytest, where `engine` is installed."""

import json
from pathlib import Path

import function

from engine.function import Settings

EVENTS = Path(__file__).parent / "events"


def test_a_track_event_is_handled() -> None:
    event = json.loads((EVENTS / "track.json").read_text())
    function.on_track(event, Settings(prefix="test"))
