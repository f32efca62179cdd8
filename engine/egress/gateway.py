"""The egress process: channels of bound workers, handed over by the supervisor with what each may do.

    supervisor ── control socket ──► Gateway ──► Destination (rules, places, connections) ◄── Channel ◄── pipes ── worker

It is forked by a launcher that has imported everything, and jailed before it takes the first channel. It ends when the
supervisor is gone.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import gc
import ipaddress
import os
import resource
import signal
import socket
import ssl
import sys
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Final, NoReturn

import psutil
import uvloop

from engine.egress import confinement, control
from engine.egress.blanking import Blanker
from engine.egress.channel import Channel
from engine.egress.destinations import Table
from engine.egress.rules import Pattern, Rules, parse_pattern
from engine.egress.trace import RING_KEPT_S, SECRET_HEADERS
from engine.egress.upstream import lookup
from sandbox.wire import KIB, FrameBuffer

if TYPE_CHECKING:
    from engine.egress.addresses import Address
    from engine.egress.destinations import Destination
    from engine.egress.upstream import Lookup
    from sandbox.wire import Frame

READ_BYTES: Final = 256 * KIB
FDS_MAX: Final = 64
MESSAGE_BYTES: Final = 16
TELL_EVERY_S: Final = 1.0
OWN_ADDRESSES_EVERY_S: Final = 60.0


class Gateway:
    """Owner of the control socket, the channels and the destinations."""

    def __init__(self, control_socket: socket.socket, *, find: Lookup, tls: ssl.SSLContext) -> None:
        self._socket = control_socket
        self._frames = FrameBuffer(control.TO_EGRESS_BYTES_MAX)
        self._fds: deque[int] = deque()
        self._unsent: deque[bytes] = deque()
        self._channels: dict[int, Channel] = {}
        self._table = Table(find=find, tls=tls)
        self._allow: tuple[Pattern, ...] = ()
        self._deny: tuple[Pattern, ...] = ()
        self._own: frozenset[Address] = frozenset()
        self._own_at = 0.0
        self._lists: dict[int, tuple[tuple[Pattern, ...], tuple[Pattern, ...]]] = {}
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()

    async def serve(self, layers: list[list[str]]) -> None:
        """Until the supervisor closes the socket."""
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._readable)
        self._send(control.Started(layers))
        timer = self._loop.call_later(TELL_EVERY_S, self._tick)
        try:
            await self._ended
        finally:
            timer.cancel()
            self._loop.remove_reader(self._socket)
            for channel in list(self._channels.values()):
                channel.close("")
            await self._table.close()

    # --- The supervisor

    def _readable(self) -> None:
        try:
            data, ancillary, _, _ = self._socket.recvmsg(READ_BYTES, socket.CMSG_SPACE(FDS_MAX * 4))
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        for level, kind, packed in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(packed[: len(packed) - len(packed) % fds.itemsize])
                self._fds.extend(fds)
        if not data:
            self._end()
            return
        for body in self._frames.feed(data):
            self._take(control.decode_to_egress(body))

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, control.Bind):
            self._bind(frame)
        elif isinstance(frame, control.Mock):
            if (channel := self._channels.get(frame.channel)) is not None:
                channel.mock(frame.mocks)
        elif isinstance(frame, control.Pull):
            self._pull(frame)
        elif isinstance(frame, control.Configure):
            self._configure(frame)

    def _send(self, frame: Frame) -> None:
        self._unsent.append(frame.pack())
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._unsent:
            data = self._unsent[0]
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._flush)
                return
            except OSError:
                self._unsent.clear()
                self._end()
                return
            if sent < len(data):
                self._unsent[0] = data[sent:]
            else:
                self._unsent.popleft()
        self._loop.remove_writer(self._socket)

    # --- What it asks for

    def _configure(self, frame: control.Configure) -> None:
        self._allow, self._deny = _patterns(frame.allow), _patterns(frame.deny)
        self._table.secret_names = SECRET_HEADERS | frozenset(name.lower() for name in frame.secret_names)
        self._table.pool.source_address = frame.source_address
        for destination in self._table:
            destination.secret_names = self._table.secret_names
        self._own_at = 0.0
        self._apply_rules()

    def _apply_rules(self) -> None:
        if time.monotonic() - self._own_at > OWN_ADDRESSES_EVERY_S or not self._own_at:
            self._own, self._own_at = own_addresses(), time.monotonic()
        for destination in self._table:
            self._apply_rules_to(destination)

    def _apply_rules_to(self, destination: Destination) -> None:
        allow, deny = self._lists.get(destination.id, ((), ()))
        rules = Rules((*self._allow, *allow), (*self._deny, *deny), self._own)
        # Connections know the very rules that they were judged by: new ones end their use.
        if rules != destination.rules:
            destination.rules = rules

    def _bind(self, frame: control.Bind) -> None:
        fds = self._fds.popleft(), self._fds.popleft()
        destination = self._table.get(frame.destination)
        destination.timeout_ms = frame.timeout_ms
        destination.blanker = Blanker(frame.secrets)
        self._lists[destination.id] = _patterns(frame.allow), _patterns(frame.deny)
        self._apply_rules_to(destination)
        destination.channels += 1
        self._channels[frame.channel] = Channel(frame, fds, destination, on_end=self._channel_ended)

    def _channel_ended(self, channel: Channel, violation: str) -> None:
        channel.destination.channels -= 1
        if violation:
            self._send(control.Broken(channel.id, violation[:500]))

    def _pull(self, frame: control.Pull) -> None:
        channel = self._channels.get(frame.channel)
        traces = channel.traces(frozenset(frame.invocations)) if channel is not None else []
        self._send(control.Pulled(frame.id, traces))

    # --- Time

    def _tick(self) -> None:
        self._loop.call_later(TELL_EVERY_S, self._tick)
        self._send(control.Alive())
        now = time.monotonic()
        for channel in list(self._channels.values()):
            channel.ring.forget(now - RING_KEPT_S - channel.destination.timeout_ms / 1000)
            if channel.is_closed and now - channel.closed_at > RING_KEPT_S:
                del self._channels[channel.id]
        rows = [
            [destination.id, *destination.counter.take()]
            for destination in self._table
            if destination.counter
        ]
        for at in range(0, len(rows), control.ITEMS_MAX):
            self._send(control.Counted(rows[at : at + control.ITEMS_MAX]))
        self._table.sweep()
        known = {destination.id for destination in self._table}
        self._lists = {number: lists for number, lists in self._lists.items() if number in known}
        if now - self._own_at > OWN_ADDRESSES_EVERY_S:
            self._apply_rules()


def _patterns(texts: list[str]) -> tuple[Pattern, ...]:
    return tuple(parse_pattern(text) for text in texts)


def own_addresses() -> frozenset[Address]:
    """The addresses of this machine's interfaces."""
    found = set()
    for entries in psutil.net_if_addrs().values():
        for entry in entries:
            if entry.family in {socket.AF_INET, socket.AF_INET6}:
                with contextlib.suppress(ValueError):
                    found.add(ipaddress.ip_address(entry.address.split("%")[0]))
    return frozenset(found)


def main() -> NoReturn:
    """`python -m engine.egress FD [CA_FILE]`: fork an egress process for each socket that comes over FD, and answer with its pidfd.

    The certificates are read here, once: the processes have no files.
    """
    launcher = socket.socket(fileno=int(sys.argv[1]))
    launcher.set_inheritable(False)
    tls = ssl.create_default_context(cafile=sys.argv[2] if len(sys.argv) > 2 else None)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    parent = os.getpid()
    launcher.send(b"ready")
    while True:
        message, fds, _, _ = socket.recv_fds(launcher, MESSAGE_BYTES, 1)
        if not message:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            launcher.close()
            _become_gateway(socket.socket(fileno=fds[0]), tls, parent)
        os.close(fds[0])
        _hand_over(launcher, pid)


def _hand_over(launcher: socket.socket, pid: int) -> None:
    """The supervisor gets a handle to end it by, which it would have of no process that had only said its number."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        launcher.send(b"ended")
        return
    socket.send_fds(launcher, [b"forked"], [handle])
    os.close(handle)


def _become_gateway(control_socket: socket.socket, tls: ssl.SSLContext, parent: int) -> NoReturn:
    async def run(layers: list[list[str]]) -> None:
        await Gateway(control_socket, find=lookup, tls=tls).serve(layers)

    status = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        uvloop.run(run(confinement.enter(parent)))
        status = 0
    except BaseException:  # noqa: BLE001  whatever ends it is told to the log, and nothing runs on
        traceback.print_exc()
    finally:
        os._exit(status)
