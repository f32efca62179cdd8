"""Pure: the arguments of `fetch` → what is sent. Encoded as httpx does it, so that code people have keeps its meaning."""

from __future__ import annotations

import json as json_module
import secrets
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from sandbox.fetch_wire import (
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    REQUEST_BODY_BYTES_MAX,
    URL_CHARS_MAX,
    pack_headers,
)
from sandbox.runtime.errors import FetchError
from sandbox.wire import KIB

_JSON: Final = ("Content-Type", "application/json")
_FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")
_ENCODER: Final = json_module.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Request(NamedTuple):
    """What is sent; within the limits of `sandbox.fetch_wire`."""

    method: str
    url: str
    headers: bytes
    """Packed."""
    body: bytes


def prepare(  # noqa: PLR0917  in the order of `fetch`
    url: str,
    method: str = "GET",
    headers: Any = None,
    params: Any = None,
    json: Any = None,
    data: Any = None,
    content: Any = None,
    files: Any = None,
) -> Request:
    """Encode. Raises `TypeError` on arguments that can't be sent, `FetchError` if it is more than may be."""
    if not isinstance(url, str):
        raise TypeError(f"a URL is text, not {type(url).__name__}")
    if not isinstance(method, str):
        raise TypeError(f"a method is text, not {type(method).__name__}")
    if params:
        url = _with_params(url, params)
    pairs = header_pairs(headers)
    body, own = _body(json, data, content, files)
    if own is not None and not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.append(own)
    if len(body) > REQUEST_BODY_BYTES_MAX:
        raise FetchError(f"the request's body is longer than {REQUEST_BODY_BYTES_MAX // KIB} KiB")
    if len(url) > URL_CHARS_MAX:
        raise FetchError(f"the URL is longer than {URL_CHARS_MAX} characters")
    if len(pairs) > HEADERS_MAX or sum(len(n) + len(v) for n, v in pairs) > HEADER_BYTES_MAX:
        raise FetchError(
            f"more than {HEADERS_MAX} headers, or more than {HEADER_BYTES_MAX // KIB} KiB of them"
        )
    return Request(method.upper(), url, pack_headers(pairs), body)


def header_pairs(headers: Any) -> list[tuple[str, str]]:
    """A dict or pairs → pairs of text. Raises `TypeError` on anything else."""
    if headers is None:
        return []
    items = headers.items() if hasattr(headers, "items") else headers
    pairs = []
    for name, value in items:
        if not isinstance(name, str) or not isinstance(value, str | bytes | int | float):
            raise TypeError(
                f"a header is a name and a text, not {type(name).__name__} and {type(value).__name__}"
            )
        pairs.append((name, value.decode("latin-1") if isinstance(value, bytes) else str(value)))
    return pairs


def _body(json: Any, data: Any, content: Any, files: Any) -> tuple[bytes, tuple[str, str] | None]:
    """The body, and the header that says what it is."""
    if sum(given is not None for given in (json, content, files or data)) > 1:
        raise TypeError("only one of json, content and data (with files) can be the body")
    if json is not None:
        return _ENCODER.encode(json).encode("utf-8", "surrogatepass"), _JSON
    if content is not None:
        return _raw(content, "content"), None
    if files:
        return _multipart(data, files)
    if isinstance(data, str | bytes | bytearray | memoryview):
        return _raw(data, "data"), None
    if data is not None:
        return urlencode(_pairs(data, "data")).encode("ascii"), _FORM
    return b"", None


def _raw(value: Any, name: str) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"{name} is text or bytes, not {type(value).__name__}; use json= for what is to be JSON")


def _pairs(values: Any, name: str) -> list[tuple[str, str]]:
    """A dict (of values or lists of them) or pairs → pairs of text, as a form and a query spell them."""
    if not hasattr(values, "items") and not isinstance(values, list | tuple):
        raise TypeError(f"{name} is a dict or a list of pairs, not {type(values).__name__}")
    pairs: list[tuple[str, str]] = []
    for key, value in values.items() if hasattr(values, "items") else values:
        items = value if isinstance(value, list | tuple) else (value,)
        pairs += [(str(key), _plain(item)) for item in items]
    return pairs


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(f"{type(value).__name__} can't stand in a query or a form; use json=, or make it text")


def _with_params(url: str, params: Any) -> str:
    query = (
        params if isinstance(params, str) else urlencode(_pairs(params, "params"), quote_via=quote, safe="")
    )
    url, mark, fragment = url.partition("#")
    joint = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return f"{url}{joint}{query}{mark}{fragment}"


def _multipart(data: Any, files: Any) -> tuple[bytes, tuple[str, str]]:
    boundary = secrets.token_hex(16)
    parts = [
        (f'name="{_quoted(name)}"', "", value.encode("utf-8", "replace"))
        for name, value in (_pairs(data, "data") if data is not None else [])
    ]
    for name, given in files.items() if hasattr(files, "items") else files:
        filename, content, kind = _file(name, given)
        parts.append((f'name="{_quoted(name)}"; filename="{_quoted(filename)}"', kind, content))
    lines = []
    for disposition, kind, content in parts:
        about = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n"
        about += f"Content-Type: {kind}\r\n" if kind else ""
        lines += [about.encode("utf-8", "replace"), b"\r\n", content, b"\r\n"]
    lines.append(f"--{boundary}--\r\n".encode("ascii"))
    return b"".join(lines), ("Content-Type", f"multipart/form-data; boundary={boundary}")


def _file(name: Any, given: Any) -> tuple[str, bytes, str]:
    """`content`, `(filename, content)` or `(filename, content, type)`."""
    filename, kind = str(name), "application/octet-stream"
    if isinstance(given, tuple):
        if not 2 <= len(given) <= 3:
            raise TypeError("a file is content, (filename, content) or (filename, content, type)")
        filename = str(given[0] or name)
        if len(given) == 3 and given[2]:
            kind = str(given[2])
        given = given[1]
    if hasattr(given, "getvalue"):
        given = given.getvalue()
    if any(character in kind for character in "\r\n"):
        raise TypeError("a file's type holds no line break")
    return filename, _raw(given, "a file"), kind


def _quoted(text: Any) -> str:
    """Within a header of a part: what would end it is encoded (WHATWG HTML, multipart/form-data)."""
    return str(text).replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
