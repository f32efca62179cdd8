"""What a fetch answers: `Response`, and its headers. Read-only, made of plain values only."""

from __future__ import annotations

import json
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from sandbox.runtime.errors import HTTPStatusError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


class Headers:
    """Names without regard to case; `headers["X"]`, `.get`, `in`; several of one name are joined with a comma."""

    __slots__ = ("_pairs", "_values")

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._pairs = tuple(pairs)
        values: dict[str, str] = {}
        for name, value in pairs:
            key = name.lower()
            values[key] = f"{values[key]}, {value}" if key in values else value
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or `default` if there is none."""
        return self._values.get(name.lower(), default)

    def get_list(self, name: str) -> list[str]:
        """Every value of that name."""
        return [value for key, value in self._pairs if key.lower() == name.lower()]

    def keys(self) -> list[str]:
        """The names, in lower case."""
        return list(self._values)

    def values(self) -> list[str]:
        """The values."""
        return list(self._values.values())

    def items(self) -> list[tuple[str, str]]:
        """Names, in lower case, and values."""
        return list(self._values.items())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"


class Response:
    """The whole of it: a handler gets it when its last byte is there."""

    __slots__ = (
        "_content",
        "_elapsed_s",
        "_headers",
        "_is_seen",
        "_ok_below",
        "_pairs",
        "_request",
        "_status",
        "_url",
    )

    def __init__(
        self,
        status: int,
        url: str,
        headers: Sequence[tuple[str, str]],
        content: bytes,
        elapsed_s: float,
        *,
        method: str = "GET",
        ok_below: int = 300,
    ) -> None:
        self._status = status
        self._url = url
        self._pairs = headers
        self._headers: Headers | None = None
        self._content = content
        self._elapsed_s = elapsed_s
        self._request = method
        self._ok_below = ok_below
        self._is_seen = False

    @property
    def status(self) -> int:
        """The status code."""
        self._is_seen = True
        return self._status

    @property
    def status_code(self) -> int:
        """The status code."""
        self._is_seen = True
        return self._status

    @property
    def ok(self) -> bool:
        """The status is 200 to 299."""
        self._is_seen = True
        return 200 <= self._status < self._ok_below

    @property
    def is_success(self) -> bool:
        """The status is 200 to 299."""
        self._is_seen = True
        return 200 <= self._status < 300

    @property
    def is_redirect(self) -> bool:
        """The status is 300 to 399, and it says where to."""
        self._is_seen = True
        return 300 <= self._status < 400 and "location" in self.headers

    @property
    def is_error(self) -> bool:
        """The status is 400 or more."""
        self._is_seen = True
        return self._status >= 400

    @property
    def reason(self) -> str:
        """The status in words."""
        return _PHRASES.get(self._status, "")

    @property
    def reason_phrase(self) -> str:
        """The status in words."""
        return self.reason

    @property
    def headers(self) -> Headers:
        """Its headers."""
        if self._headers is None:
            self._headers = Headers(self._pairs)
        return self._headers

    @property
    def url(self) -> str:
        """Where it came from: the last URL, if redirects were followed."""
        return self._url

    @property
    def elapsed_ms(self) -> float:
        """From the call to the last byte."""
        return self._elapsed_s * 1000

    @property
    def elapsed(self) -> timedelta:
        """From the call to the last byte."""
        return timedelta(seconds=self._elapsed_s)

    @property
    def content(self) -> bytes:
        """The body."""
        return self._content

    @property
    def encoding(self) -> str:
        """What the body is decoded with: what its Content-Type says, or UTF-8."""
        for part in str(self.headers.get("content-type", "")).split(";")[1:]:
            name, _, value = part.partition("=")
            if name.strip().lower() == "charset":
                return value.strip(" \"'") or "utf-8"
        return "utf-8"

    @property
    def text(self) -> str:
        """The body as text; what can't be decoded becomes U+FFFD."""
        try:
            return str(self._content, self.encoding, "replace")
        except (LookupError, ValueError):  # a charset that nobody knows, or one that makes no text
            return str(self._content, "utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` if it isn't."""
        return json.loads(self._content if self.encoding == "utf-8" else self.text)

    def raise_for_status(self) -> Response:
        """Itself; raises `HTTPStatusError` if the status is 400 or more."""
        self._is_seen = True
        if self._status >= 400:
            raise HTTPStatusError(
                f"{self._request} {self._url} answered {self._status} {self.reason}".rstrip(), response=self
            )
        return self

    def __bool__(self) -> bool:
        return self.ok if self._ok_below == 400 else True

    def __repr__(self) -> str:
        return f"<Response [{self._status}]>"


def unseen(response: Response) -> str:
    """Why an author should look again: an answer that nobody looked at, or a redirect that wasn't followed."""
    status, place = response._status, f"{response._request} {response._url}"  # noqa: SLF001  not a method: handlers don't see it
    if response._is_seen:  # noqa: SLF001
        return ""
    if 300 <= status < 400 and status != 304:
        return f"{place} answered {status}, a redirect that was not followed; pass follow_redirects=True"
    if status >= 400:
        return (
            f"{place} answered {status}, and nothing looked at it; look at status, or call raise_for_status()"
        )
    return ""
