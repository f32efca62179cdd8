"""Frames cut from a stream of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.wire.decoding import WireError
from sandbox.wire.frame import LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator


class FrameBuffer:
    """Cuts a stream of bytes into frame bodies. A length beyond `bytes_max` is refused before it is allocated."""

    __slots__ = ("_begun", "bytes_max")

    def __init__(self, bytes_max: int) -> None:
        self._begun = bytearray()
        self.bytes_max = bytes_max

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the body of each frame that `data` completes, copied once. Raise `WireError` on a length beyond the limit."""
        at, end = 0, len(data)
        if self._begun:
            at = self._go_on(data)
            if at < 0:
                return
            body = bytes(memoryview(self._begun)[LENGTH.size :])
            self._begun = bytearray()
            yield body
        while end - at >= LENGTH.size:
            start = at + LENGTH.size
            stop = start + self._size_of(data, at)
            if stop > end:
                break
            at = stop
            yield data[start:stop]
        self._begun += data[at:]

    def _go_on(self, data: bytes) -> int:
        """Take of `data` what the begun frame lacks. Where its end is in `data`; -1 if it isn't there."""
        begun, at = self._begun, 0
        if len(begun) < LENGTH.size:
            at = LENGTH.size - len(begun)
            begun += data[:at]
            if len(begun) < LENGTH.size:
                return -1
        stop = at + LENGTH.size + self._size_of(begun, 0) - len(begun)
        begun += data[at:stop]
        return stop if stop <= len(data) else -1

    def _size_of(self, data: bytes | bytearray, at: int) -> int:
        size: int = LENGTH.unpack_from(data, at)[0]
        if size > self.bytes_max or size == 0:
            raise WireError(f"a frame of {size} bytes; 1 to {self.bytes_max} are allowed")
        return size

    @property
    def pending_bytes(self) -> int:
        """Bytes of an incomplete frame that are held."""
        return len(self._begun)
