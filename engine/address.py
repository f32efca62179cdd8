"""`HOST:PORT`, where HTTP is served."""

from __future__ import annotations


def parse_address(text: str) -> tuple[str, int]:
    """Host and port, as in `127.0.0.1:8080`, `[::1]:8080`, `localhost:0`. Raises `ValueError`."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError(f"an address is HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080, not {text[:80]!r}")
    return host, int(port)


def format_address(host: str, port: int) -> str:
    """The same as text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
