"""A load on twenty destinations while processes are killed and the disk is full or slow; at the end no event is missing.

    python tests/faults/run.py --seconds 600 --rate 1000 --seed 1

The seed is printed, and makes the same faults at the same times. Exit status 1 if an acknowledged event is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.daemon import DELAY
from faults.functions import FUNCTIONS
from faults.ledger import Kill, Ledger
from tied import spawn

from engine.client import AsyncClient, Client
from engine.clock import SystemClock
from engine.errors import EngineError
from engine.journal.sqlite import SqliteJournal
from engine.registry.secrets import Keyring
from engine.registry.store import Registry

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

NAMES: Final = tuple(f"{f.name}-{n}" for f in FUNCTIONS for n in range(f.count))
LATENCY_S: Final = {f"{f.name}-{n}": f.latency_s for f in FUNCTIONS for n in range(f.count)}
TURN_S: Final = 0.1
FAILING: Final = ("flaky", "hanging", "dying", "broken")
SUBMIT_MAX: Final = 100
SENDERS: Final = 4
KINDS: Final = 6
"""Of faults; the shortest run has each once."""
UNSEEN_MAX: Final = 200
"""Events a kill of the daemon may leave without a witness: a fifth of a second of the load."""


class FaultRun:
    """One daemon, killed and started again on the same data, its load, and what is known of each event."""

    def __init__(self, folder: Path, *, rate: int, rng: random.Random) -> None:
        self.ledger = Ledger()
        self.faults: dict[str, int] = {}
        self.missed = 0
        """Attempts that the watcher was too slow to be shown."""
        self._folder = folder
        self._socket = folder / "engine.sock"
        self._rate = rate
        self._rng = rng
        self._process: subprocess.Popen[bytes] | None = None
        self._is_sending = threading.Event()
        self._is_sending.set()
        self._following = threading.Semaphore(0)
        self._generation = 0

    # --- The daemon

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = spawn(
                [sys.executable, str(Path(__file__).with_name("daemon.py")), str(self._folder), "serve",
                 "--data-dir", str(self._folder), "--socket", str(self._socket)],
                stdout=log, stderr=log,
            )  # fmt: skip
        until(self._answers, 30, "the daemon to answer")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()[-3000:]
        with contextlib.suppress(EngineError):
            Client(self._socket).close()
            return True
        return False

    def deploy(self) -> None:
        with Client(self._socket) as client:
            for function in FUNCTIONS:
                for n in range(function.count):
                    client.deploy(f"{function.name}-{n}", function.source, limits=function.limits)

    def kill_daemon(self) -> None:
        """Kill it, look at its file, start it paused, and let it go on once somebody watches every destination."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        at = time.monotonic()
        stored, shelved = self._read_journal()
        self.ledger.kills.append(Kill(at, stored, shelved))
        keys = Keyring.load(self._folder / "secret.key", "")
        registry = Registry.open(self._folder / "registry.db", clock=SystemClock(), keys=keys)
        paused = [destination.name for destination in registry.destinations.all()]
        for destination in registry.destinations.all():
            registry.stop(destination.id, "paused")
        registry.close()
        self.start()
        self._watch()
        with Client(self._socket) as client:
            for name in paused:
                client.resume(name)

    def _read_journal(self) -> tuple[frozenset[str], frozenset[str]]:
        """Message ids that are stored, and that are shelved, in a copy of the file as it is."""
        with tempfile.TemporaryDirectory() as copied:
            for path in self._folder.glob("journal.db*"):
                shutil.copy(path, copied)
            return asyncio.run(read_journal(Path(copied) / "journal.db", len(NAMES)))

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        assert self._process.wait(60) == 0, (self._folder / "log").read_text()[-3000:]
        self.ledger.stored, self.ledger.shelved = self._read_journal()

    def end(self) -> None:
        """Whatever happened: nothing of it stays."""
        self._is_sending.clear()
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    # --- Who watches

    def _watch(self) -> None:
        """Follow all destinations; returns when each follower is heard by the daemon."""
        self._generation += 1
        threading.Thread(target=lambda: asyncio.run(self._follow_all()), daemon=True).start()
        for _ in NAMES:
            assert self._following.acquire(timeout=30), "a destination could not be followed"

    async def _follow_all(self) -> None:
        with contextlib.suppress(EngineError):
            async with AsyncClient(self._socket) as client:
                await asyncio.gather(*(self._follow(client, name) for name in NAMES))

    async def _follow(self, client: AsyncClient, name: str) -> None:
        lines = client.logs(name, follow=True)
        first = asyncio.ensure_future(anext(lines))
        while not (await client.show(name))["is_followed"]:  # noqa: ASYNC110  the daemon is another process
            await asyncio.sleep(0.01)
        self._following.release()
        with contextlib.suppress(EngineError, StopAsyncIteration):
            self._note(await first)
            async for line in lines:
                self._note(line)

    def _note(self, line: dict[str, Any]) -> None:
        self.missed += line.get("missed", 0)
        if line["code"] == "delivered":
            self.ledger.delivered.update(entry["message"] for entry in line["logs"])

    # --- The load

    def send(self, names: tuple[str, ...]) -> None:
        """Its share of the rate; what couldn't be sent in time is sent later. Whatever isn't acknowledged is nobody's promise."""
        begun, sent = time.monotonic(), dict.fromkeys(names, 0)
        while self._is_sending.is_set():
            with contextlib.suppress(EngineError), Client(self._socket) as client:
                while self._is_sending.is_set():
                    owed = round((time.monotonic() - begun) * self._rate / len(NAMES))
                    for name in names:
                        first, sent[name] = sent[name], min(owed, sent[name] + SUBMIT_MAX)
                        if sent[name] > first:
                            self._submit(client, name, range(first, sent[name]))
                    time.sleep(TURN_S)
            time.sleep(0.02)

    def _submit(self, client: Client, name: str, numbers: range) -> None:
        ids = [f"{name}/{n}" for n in numbers]
        events = [
            {"type": "track", "userId": "u", "messageId": i, "n": n}
            for i, n in zip(ids, numbers, strict=True)
        ]
        client.submit(name, events)
        at = time.monotonic()
        self.ledger.acked.update(dict.fromkeys(ids, at))

    # --- Faults

    def kill_zygote(self) -> None:
        """All workers die with it."""
        self._kill_child("sandbox.zygote")

    def kill_egress(self) -> None:
        """The workers that call through it end."""
        self._kill_child("engine.egress")

    def _kill_child(self, module: str) -> None:
        """The child of the launcher of that name."""
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            for launcher in psutil.Process(self._process.pid).children():
                if module in launcher.cmdline():
                    for child in launcher.children():
                        child.kill()

    def kill_workers(self) -> None:
        with Client(self._socket) as client:
            pids = sorted(int(row["pid"]) for row in client.workers() if row["in_flight"])
        for pid in self._rng.sample(pids, min(3, len(pids))):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def fill_disk(self) -> None:
        """No file of the daemon may grow beyond what the journal's log takes by now; then there is room again."""
        assert self._process is not None
        wal = self._folder / "journal.db-wal"
        size = max(64 << 10, wal.stat().st_size // 2)
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, hard))
        time.sleep(self._rng.uniform(0.5, 2.0))
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (hard, hard))

    def slow_disk(self) -> None:
        (self._folder / DELAY).write_text(str(self._rng.randint(20, 200)))
        time.sleep(self._rng.uniform(1.0, 3.0))
        (self._folder / DELAY).write_text("0")

    def run(self, seconds: float) -> None:
        """The load, with a fault every few seconds: each kind once in a random order, then again."""
        self.start()
        self.deploy()
        self._watch()
        shares = [NAMES[at::SENDERS] for at in range(SENDERS)]
        senders = [threading.Thread(target=self.send, args=(share,), daemon=True) for share in shares]
        for sender in senders:
            sender.start()
        deadline = time.monotonic() + seconds
        kinds: list[Callable[[], None]] = []
        while time.monotonic() < deadline or len(self.faults) < KINDS:
            time.sleep(self._rng.uniform(0.5, 2.0))
            if not kinds:
                kinds = [
                    self.kill_daemon,
                    self.kill_zygote,
                    self.kill_egress,
                    self.kill_workers,
                    self.fill_disk,
                    self.slow_disk,
                ]
                assert len(kinds) == KINDS
                self._rng.shuffle(kinds)
            fault = kinds.pop()
            self.faults[fault.__name__] = self.faults.get(fault.__name__, 0) + 1
            fault()
        self._is_sending.clear()
        for sender in senders:
            sender.join(30)
        self._settle()
        self.stop()

    def _settle(self) -> None:
        """Until nothing waits any more but at destinations that fail."""
        with Client(self._socket) as client:
            names = [name for name in NAMES if not name.startswith(FAILING)]
            deadline = time.monotonic() + 90
            while waiting := [shown for name in names if (shown := client.show(name))["stored"]]:
                assert time.monotonic() < deadline, f"not worked off: {waiting}"
                time.sleep(0.1)
        self._catch_up()

    def _catch_up(self) -> None:
        """Until the watcher has seen what it was sent: nothing new for two seconds."""
        before, deadline = -1, time.monotonic() + 30
        while (seen := self.ledger.delivered.total()) != before and time.monotonic() < deadline:
            before = seen
            time.sleep(2)


async def read_journal(path: Path, destinations: int) -> tuple[frozenset[str], frozenset[str]]:
    """Message ids that are stored, and that are on the shelf."""
    journal = SqliteJournal.open(path, clock=SystemClock())
    found: dict[str, set[str]] = {"waiting": set(), "shelved": set()}
    try:
        for destination_id, (state, ids) in itertools.product(range(1, destinations + 1), found.items()):
            cursor = None
            while True:
                page = await journal.deliveries(destination_id, state, limit=1_000, cursor=cursor)
                ids.update(delivery.event.message_ids[0] for delivery in page.deliveries)
                cursor = page.cursor
                if cursor is None:
                    break
    finally:
        await journal.close()
    return frozenset(found["waiting"]), frozenset(found["shelved"])


def until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.02)


def report(run: FaultRun) -> Iterator[str]:
    ledger = run.ledger
    yield f"faults              {dict(sorted(run.faults.items()))}"
    yield f"acknowledged        {len(ledger.acked)}"
    yield f"delivered           {len(set(ledger.acked) & set(ledger.delivered))}"
    yield f"discarded or dead   {len(set(ledger.acked) & ledger.shelved)}"
    yield f"waiting             {len(set(ledger.acked) & ledger.stored)}"
    yield f"settled unseen      {len(ledger.unseen())} in {len(ledger.kills)} kills of the daemon"
    yield f"doubled             {len(ledger.doubled())}, in flight at a kill"
    yield f"doubled otherwise   {len(ledger.doubled_without_a_kill())}"
    yield f"lost                {len(ledger.lost(LATENCY_S))}"


def problems(run: FaultRun) -> list[str]:
    """What must not be; empty if all is well."""
    ledger = run.ledger
    found = []
    if run.missed:
        found.append(f"{run.missed} attempts were not watched, so what follows proves nothing")
    if lost := ledger.lost(LATENCY_S):
        found.append(f"lost: {sorted(lost)[:10]}")
    if doubled := ledger.doubled_without_a_kill():
        found.append(f"doubled, although no daemon was killed meanwhile: {sorted(doubled)[:10]}")
    if len(ledger.unseen()) > UNSEEN_MAX * len(ledger.kills):
        found.append(f"{len(ledger.unseen())} events were delivered unseen: more than kills explain")
    return found


def said(folder: str) -> str:
    """The end of what the daemon has logged."""
    return (Path(folder) / "log").read_text()[-5000:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second, over all destinations")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="engine-faults-") as folder:
        run = FaultRun(Path(folder), rate=arguments.rate, rng=random.Random(arguments.seed))
        try:
            run.run(arguments.seconds)
        except BaseException:
            print(said(folder))
            raise
        finally:
            run.end()
        print("\n".join(report(run)))
        found = problems(run)
        if found:
            print(said(folder))
    print("\n".join(found) or "every acknowledged event is accounted for")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
