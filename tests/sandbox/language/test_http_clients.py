"""`httpx` and `requests` as functions use them: what is sent, and what is refused. What is answered comes from a stub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import fetch_wire
from sandbox.runtime import channel as channels
from sandbox.runtime import fetch as fetching
from sandbox.runtime.context import CURRENT, Invocation
from sandbox.runtime.response import Response

if TYPE_CHECKING:
    from sandbox.runtime.request import Request

Load = Callable[..., dict[str, Any]]


class Stub:
    """In place of the worker's channel: keeps what is sent, and answers at once."""

    def __init__(self) -> None:
        self.sent: list[tuple[Request, float | None, bool]] = []
        self.status = 200

    def begin(
        self, request: Request, invocation: Invocation, timeout_ms: float | None, flags: int, ok_below: int
    ) -> channels.Exchange:
        self.sent.append((request, timeout_ms, bool(flags & fetch_wire.FOLLOW_REDIRECTS)))
        return channels.Exchange(len(self.sent), invocation, request, ok_below)

    def wait(self, exchange: channels.Exchange) -> Response:
        headers = [("Content-Type", "application/json")]
        return Response(self.status, exchange.url, headers, b'{"a":1}', 0.1, ok_below=exchange.ok_below)

    @property
    def last(self) -> tuple[str, str, dict[str, str], bytes]:
        request = self.sent[-1][0]
        return request.method, request.url, dict(fetch_wire.unpack_headers(request.headers)), request.body


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    stub = Stub()
    monkeypatch.setattr(fetching.LINK, "channel", stub)
    token = CURRENT.set(Invocation(is_async=False, console_bytes=1_000))
    yield stub
    CURRENT.reset(token)


def test_httpx_functions_and_client(load: Load, stub: Stub) -> None:
    module = load("""
        import httpx

        def plain():
            return httpx.post("https://a.example/x", json={"b": 1}, headers={"X-A": "1"}, timeout=2.5)

        def through_client():
            with httpx.Client(base_url="https://a.example/v1", headers={"X-Key": "k"}, params={"p": 1}, timeout=httpx.Timeout(3, connect=1)) as client:
                return client.get("/users", params={"q": "x"}, headers={"x-key": "other"}, follow_redirects=True)

        def with_auth():
            return httpx.get("https://a.example/", auth=("user", "pass"))
        """)
    answer = module["plain"]()
    assert (answer.status_code, answer.json(), answer.is_success) == (200, {"a": 1}, True)
    assert stub.last == (
        "POST",
        "https://a.example/x",
        {"X-A": "1", "Content-Type": "application/json"},
        b'{"b":1}',
    )
    assert stub.sent[-1][1:] == (2_500.0, False)
    module["through_client"]()
    assert stub.last == ("GET", "https://a.example/v1/users?p=1&q=x", {"x-key": "other"}, b"")
    assert stub.sent[-1][1:] == (3_000.0, True)
    module["with_auth"]()
    assert stub.last[2] == {"Authorization": "Basic dXNlcjpwYXNz"}


def test_requests_functions_and_session(load: Load, stub: Stub) -> None:
    module = load("""
        import requests
        from requests.exceptions import HTTPError, RequestException

        def plain():
            return requests.post("https://a.example/x", data={"b": 1}, timeout=(1, 4))

        def through_session():
            session = requests.Session()
            session.headers["X-Key"] = "k"
            session.headers.update({"X-Two": "2"})
            session.auth = ("user", "pass")
            return session.get("https://a.example/", params={"q": "x"}, allow_redirects=False)

        def failing():
            try:
                requests.get("https://a.example/").raise_for_status()
            except requests.exceptions.RequestException as error:
                assert isinstance(error, HTTPError) and isinstance(error, RequestException)
                return error.response.status_code
        """)
    assert module["plain"]()
    assert stub.last == (
        "POST",
        "https://a.example/x",
        {"Content-Type": "application/x-www-form-urlencoded"},
        b"b=1",
    )
    assert stub.sent[-1][1:] == (4_000.0, True)
    module["through_session"]()
    assert stub.last == (
        "GET", "https://a.example/?q=x", {"X-Key": "k", "X-Two": "2", "Authorization": "Basic dXNlcjpwYXNz"}, b"",
    )  # fmt: skip
    assert stub.sent[-1][2] is False
    stub.status = 404
    assert not module["plain"]()
    assert module["failing"]() == 404


@pytest.mark.parametrize(
    ("call", "method", "url", "body", "follows"),
    [
        ("requests.get('https://a.example/', {'q': 1})", "GET", "https://a.example/?q=1", b"", True),
        ("requests.Session().post('https://a.example/', None, {'q': 1})", "POST", "https://a.example/", b'{"q":1}', True),
        ("requests.put('https://a.example/', 'text')", "PUT", "https://a.example/", b"text", True),
        ("requests.patch('https://a.example/', data='text')", "PATCH", "https://a.example/", b"text", True),
        ("requests.head('https://a.example/')", "HEAD", "https://a.example/", b"", False),
        ("requests.head('https://a.example/', allow_redirects=True)", "HEAD", "https://a.example/", b"", True),
        ("requests.request('DELETE', 'https://a.example/')", "DELETE", "https://a.example/", b"", True),
        ("httpx.options(url='https://a.example/')", "OPTIONS", "https://a.example/", b"", False),
        ("httpx.Client().request('delete', 'https://a.example/')", "DELETE", "https://a.example/", b"", False),
    ],
)  # fmt: skip
def test_every_verb_says_its_method(
    load: Load, stub: Stub, call: str, method: str, url: str, body: bytes, follows: bool
) -> None:
    load(f"import httpx, requests\ndef run():\n    {call}\n")["run"]()
    assert (stub.last[0], stub.last[1], stub.last[3], stub.sent[-1][2]) == (method, url, body, follows)


@pytest.mark.parametrize(
    "call",
    [
        "requests.get('https://a.example/', verify=False)",
        "requests.get('https://a.example/', cookies={'a': 'b'})",
        "requests.get('https://a.example/', proxies={'https': 'x'})",
        "requests.get('https://a.example/', stream=True)",
        "requests.get('https://a.example/', auth='token')",
        "requests.get('https://a.example/', {'a': 1}, 'more')",
        "requests.get('https://a.example/', {'a': 1}, params={'b': 2})",
        "httpx.post('https://a.example/', {'a': 1})",
        "httpx.get('https://a.example/', cookies={'a': 'b'})",
        "httpx.Client(proxy='http://x')",
        "httpx.get('https://a.example/', nonsense=1)",
        "httpx.AsyncClient().get('https://a.example/')",
    ],
)
def test_what_is_not_there_says_so(load: Load, stub: Stub, call: str) -> None:
    module = load(f"import httpx, requests\ndef run():\n    {call}\n")
    with pytest.raises(TypeError):
        module["run"]()
    assert stub.sent == []


@pytest.mark.parametrize(
    "source",
    [
        "import httpx\nhttpx.get = 1",
        "import requests\nrequests.sessions",
        "import requests\nrequests.get.__globals__",
        "import httpx\nhttpx.Client().get.__func__",
        "import httpx\nhttpx.Client.get = 1",
        "import httpx\nhttpx.Client()._options",
        "from requests.adapters import HTTPAdapter",
        "import httpx\nhttpx._client",
    ],
)
def test_nothing_of_the_libraries_can_be_reached(load: Load, source: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011  refused when compiled, or when run
        load(source)
