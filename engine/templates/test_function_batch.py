"""Run with pytest, where `engine` is installed: `deploy` runs the function as the engine does, in a jailed worker."""

import json
from pathlib import Path

EVENT = json.loads((Path(__file__).parent / "events" / "track.json").read_text())
URL = "https://api.example.com/batch"


def test_a_batch_is_sent_as_one_request(deploy):
    fn = deploy("function.py", settings={"prefix": "test", "url": URL})
    fn.mock("POST", URL, status=202)
    results = fn.send_batch([EVENT, EVENT])
    assert [result.ok for result in results] == [True, True]
    (request,) = results[0].requests
    assert request.json == {"source": "test", "events": [EVENT, EVENT]}


def test_a_busy_api_is_asked_again(deploy):
    fn = deploy("function.py", settings={"prefix": "test", "url": URL})
    fn.mock("POST", URL, status=503)
    assert [result.error.code for result in fn.send_batch([EVENT, EVENT])] == ["retry", "retry"]
