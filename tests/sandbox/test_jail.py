"""Each layer on live workers; and the proof of each at start, which must be able to fail."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from jailed import Room
from running import wait_until

from sandbox import jail, probe, seccomp

if TYPE_CHECKING:
    from collections.abc import Iterator

MACHINE = platform.machine()
HEAD = "from sandbox import jail, landlock, probe, zygote\n"
OFF = "jail.{table} = tuple(jail.Step(s.layer, lambda jail: None) if s.layer == {layer!r} else s for s in jail.{table})\n"
REFUSED = (
    "def refuse(jail):\n    raise PermissionError(1, 'Operation not permitted')\n"
    "jail.{table} = tuple(jail.Step(s.layer, refuse) if s.layer == {layer!r} else s for s in jail.{table})\n"
)
NO_LANDLOCK = "landlock.abi = lambda: 0\n"


def report(change: str, *arguments: str, env: dict[str, str] | None = None) -> list[probe.Row]:
    """What a zygote says of the jail, on a host or with a checklist that is changed so."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(30)
    with ours:
        with theirs:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-c",
                    f"{HEAD}{change}zygote.main()",
                    str(theirs.fileno()),
                    *arguments,
                ],
                env=env or {},
                cwd="/",
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        try:
            packed = ours.recv(1 << 17)
        finally:
            process.kill()
            process.wait(10)
    verb, _, rows = msgpack.unpackb(packed)
    assert verb == "hello"
    return [probe.Row(*row) for row in rows]


def broken(rows: list[probe.Row]) -> list[str]:
    return list(dict.fromkeys(row.layer for row in rows if row.state == "broken"))


def absent(rows: list[probe.Row]) -> set[str]:
    return {row.layer for row in rows if row.state == "absent"}


@pytest.fixture(scope="module")
def proofs(room: Room) -> list[probe.Row]:
    return [probe.Row(*row) for row in room.hello[2]]


# --- The proof


def test_every_layer_holds_on_this_host(proofs: list[probe.Row]) -> None:
    missing = [
        f"{row.layer}: {row.tried}: {row.answer} → {row.remedy}" for row in proofs if row.state != "holding"
    ]
    if missing and not os.environ.get("CI"):
        pytest.skip("; ".join(missing))
    assert missing == []
    layers = {step.layer for step in (*jail.LAUNCHER, *jail.ZYGOTE, *jail.WORKER_BEFORE_LOOP, *jail.WORKER)}
    assert {row.layer for row in proofs} == layers - {"cgroup"}
    assert layers == set(jail.REMEDIES)


@pytest.mark.parametrize(
    ("table", "layer"),
    [
        ("LAUNCHER", "environment"),
        pytest.param(
            "LAUNCHER", "ids", marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes nobody")
        ),
        ("ZYGOTE", "root"),
        ("ZYGOTE", "securebits"),
        ("ZYGOTE", "capabilities"),
        ("ZYGOTE", "dumpable"),
        ("WORKER_BEFORE_LOOP", "descriptors"),
        ("WORKER", "life"),
        ("WORKER", "landlock"),
        ("WORKER", "limits"),
        ("WORKER", "seccomp"),
    ],
)
def test_a_layer_that_is_switched_off_is_the_one_that_is_named(room: Room, table: str, layer: str) -> None:
    needs(room, layer)
    rows = report(OFF.format(table=table, layer=layer), env={"LEFT": "behind"})
    # Root may fork whatever the limit says: that is why workers aren't root.
    assert broken(rows) == ([layer, "limits"] if layer == "ids" else [layer])


def test_a_namespace_that_is_left_out_is_noticed(room: Room) -> None:
    needs(room, "namespaces")
    assert broken(report("del jail.NAMESPACES['net']\n")) == ["namespaces"]


def test_without_no_new_privs_neither_landlock_nor_a_filter_can_be_had(room: Room) -> None:
    needs(room, "landlock")
    assert broken(report(OFF.format(table="ZYGOTE", layer="no_new_privs"))) == ["no_new_privs", "landlock"]


def test_a_layer_that_is_forgotten_altogether_is_noticed() -> None:
    change = "jail.WORKER = tuple(step for step in jail.WORKER if step.layer != 'limits')\n"
    assert broken(report(change)) == ["limits"]


def test_a_filter_that_allows_one_of_the_calls_that_must_kill_is_noticed() -> None:
    change = (
        "from sandbox import seccomp\n"
        "seccomp.KILLED = tuple(call for call in seccomp.KILLED if call.name != 'keyctl')\n"
    )
    rows = report(change)
    assert [(row.tried, row.answer) for row in rows if row.state == "broken"] == [("keyctl", "EPERM")]


# --- What may be waived, and what never


def test_namespaces_are_required_unless_waived(room: Room) -> None:
    needs(room, "landlock")
    refused = REFUSED.format(table="LAUNCHER", layer="namespaces")
    assert broken(report(refused)) == ["namespaces"]
    rows = report(refused, "--degraded")
    assert broken(rows) == []
    assert absent(rows) == {"namespaces", "root", "securebits"}


def test_landlock_is_waived_only_where_the_empty_root_holds(room: Room) -> None:
    needs(room, "root")
    assert broken(report(NO_LANDLOCK)) == ["landlock"]
    rows = report(NO_LANDLOCK, "--degraded")
    assert broken(rows) == []
    assert absent(rows) == {"landlock"}
    refused = REFUSED.format(table="LAUNCHER", layer="namespaces")
    assert broken(report(NO_LANDLOCK + refused, "--degraded")) == ["root"]


@pytest.mark.parametrize(
    ("table", "layer"), [("WORKER", "seccomp"), ("ZYGOTE", "no_new_privs"), ("WORKER", "limits")]
)
def test_some_layers_are_never_waived(table: str, layer: str) -> None:
    assert broken(report(REFUSED.format(table=table, layer=layer), "--degraded")) == [layer]


def test_a_machine_that_the_filter_doesnt_know_is_refused() -> None:
    rows = report("jail.seccomp.ARCHITECTURES.clear()\n", "--degraded")
    assert broken(rows) == ["seccomp"]


def test_a_degraded_worker_reaches_no_file_and_no_network(room: Room, tmp_path: Path) -> None:
    needs(room, "landlock")
    with Room(
        "--degraded",
        change="from sandbox import jail\n" + REFUSED.format(table="LAUNCHER", layer="namespaces"),
    ) as degraded:
        assert "PermissionError" in str(degraded.run(f"open({str(tmp_path / 'x')!r}, 'w')").error)
        assert "PermissionError" in str(degraded.run("open('/etc/passwd')").error)
        assert degraded.run("import socket; socket.socket()").death == "signal SIGSYS"
        assert degraded.run("result = 1 + 1").returned == "2"


# --- Live workers


def needs(room: Room, layer: str) -> None:
    """Skip what a host hasn't got, with the line that `engine doctor` prints; in CI that is a failure."""
    for name, state, tried, answer, remedy in room.hello[2]:
        if name == layer and state != "holding":
            line = f"{name} is {state}: {tried}: {answer} → {remedy}"
            if os.environ.get("CI"):
                pytest.fail(line)
            pytest.skip(line)


@pytest.fixture
def status(room: Room) -> Iterator[dict[str, str]]:
    spare = room.spare()
    lines = Path(f"/proc/{spare.pid}/status").read_text("ascii").splitlines()
    found = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    found["oom_score_adj"] = Path(f"/proc/{spare.pid}/oom_score_adj").read_text("ascii").strip()
    yield found
    room.end(spare)


def test_the_kernel_says_so_of_a_live_worker(status: dict[str, str]) -> None:
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["oom_score_adj"] == "1000"
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert "0" not in status["Uid"].split()
    assert status["Threads"] == "1"


@pytest.mark.parametrize("call", seccomp.KILLED, ids=lambda call: call.name)
def test_what_no_honest_code_calls_ends_the_worker(room: Room, call: seccomp.Call) -> None:
    number = call.number(MACHINE)
    if number is None:
        pytest.skip(f"{MACHINE} has no {call.name}")
    ending = room.run(f"import ctypes; ctypes.CDLL(None).syscall({number}, -1, 0, 0, 0, 0, 0)")
    assert ending.death == "signal SIGSYS"


def test_what_is_merely_unknown_answers_eperm(room: Room) -> None:
    known = {
        call.number(MACHINE)
        for call in (*seccomp.ALLOWED, *seccomp.KILLED, *(item.call for item in seccomp.FILTERED))
    }
    # 335 and 336 are the kernel's own trampolines for probes, which it takes past every filter.
    unknown = [number for number in range(470) if number not in {*known, 335, 336}]
    ending = room.run(
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "def answer(number):\n"
        "    return libc.syscall(number, -1, 0, 0, 0, 0, 0), ctypes.get_errno()\n"
        f"result = [number for number in {unknown} if answer(number) != (-1, 1)]\n"
    )
    assert (ending.returned, ending.death) == ("[]", "exit 0")


@pytest.mark.parametrize(
    "attempt",
    [
        "ctypes.CDLL(None).syscall(0x40000000 | 39)",
        "ctypes.CDLL(None).syscall(9, 0, 4096, 4, 0x22, -1, 0)",
        "ctypes.CDLL(None).syscall(10, 0, 4096, 4)",
        "ctypes.CDLL(None).syscall(56, 0x10000000, 0, 0, 0, 0)",
        "import signal; signal.pthread_kill(1, 9) if 0 else os.kill(1, 0)",
        "os.execv('/bin/true', ['true'])",
        "import _socket; _socket.socket()",
    ],
)
def test_an_attack_ends_the_worker(room: Room, attempt: str) -> None:
    if MACHINE != "x86_64" and "syscall" in attempt:
        pytest.skip("these are numbers of x86_64")
    assert room.run(f"import ctypes, os; {attempt}").death == "signal SIGSYS"


@pytest.mark.parametrize(
    "source",
    [
        "import time; time.sleep(0.01); result = 'slept'",
        "import asyncio\nasync def main():\n    await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(20)))\n"
        "asyncio.get_event_loop_policy().get_event_loop().run_until_complete(main())\nresult = 'ran'",
        "import gc; data = [bytes(1000) for _ in range(20000)]; del data; result = gc.collect() >= 0",
        "big = bytearray(50 << 20); del big; big = bytearray(60 << 20); result = len(big)",
        "import threading; lock = threading.Lock(); result = lock.acquire(timeout=0.01) and not lock.acquire(timeout=0.01)",
        "import os, random, secrets, uuid; result = len({secrets.token_hex(), uuid.uuid4().hex, os.urandom(8), random.random()})",
        "import signal, time\nticks = []\nsignal.signal(signal.SIGALRM, lambda *_: ticks.append(1))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)\ntime.sleep(0.02)\nresult = len(ticks) > 2",
        "import datetime, time; result = datetime.datetime.now().isoformat() and time.localtime().tm_zone",
        "import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    result = traceback.format_exc()[-40:]",
        "import os; result = os.getpid()",
    ],
)
def test_honest_code_doesnt_notice(room: Room, source: str) -> None:
    ending = room.run(source)
    assert (ending.error, ending.death) == (None, "exit 0")
    assert ending.returned is not None


def test_abort_is_a_crash_and_no_attack(room: Room) -> None:
    assert room.run("import os; os.abort()").death == "signal SIGABRT"


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        ("open('/etc/passwd')", "PermissionError"),
        ("os.listdir('/')", "PermissionError"),
        ("os.stat('/')", "PermissionError"),
        ("os.fork()", "PermissionError"),
        ("threading.Thread(target=print).start()", "RuntimeError"),
        ("os.dup(0)", "PermissionError"),
        ("resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))", "ValueError"),
        ("resource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "ValueError"),
        ("bytearray(1 << 30)", "MemoryError"),
    ],
)
def test_a_library_that_tries_is_told_no(room: Room, attempt: str, error: str) -> None:
    ending = room.run(f"import os, resource, threading\n{attempt}")
    assert str(ending.error).startswith(error)
    assert ending.death == "exit 0"


def test_no_descriptor_is_left_but_the_pipes_and_the_loops(room: Room) -> None:
    ending = room.run(
        "import os\nopen_ones = []\nfor fd in range(1024):\n    try:\n        os.set_blocking(fd, False)\n        open_ones.append(fd)\n"
        "    except OSError as error:\n        error.errno == 9 or open_ones.append(fd)\nresult = len(open_ones)\n"
    )
    assert ending.returned == "8", "four pipes, the event loop's three, and the one that waits for the egress"


def root_only_cgroup() -> Path:
    folder = Path("/sys/fs/cgroup/pids") / f"engine-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    return folder


def test_workers_join_the_cgroups_that_the_operator_names() -> None:
    folder = root_only_cgroup()
    try:
        with Room(f"--cgroup={folder}") as room:
            spare = room.spare()
            assert f"/{folder.name}" in Path(f"/proc/{spare.pid}/cgroup").read_text("ascii")
            assert ["cgroup", "holding"] in [row[:2] for row in room.hello[2]]
            room.end(spare)
    finally:
        wait_until(lambda: not (folder / "cgroup.procs").read_text("ascii"))
        folder.rmdir()


def test_a_cgroup_that_cant_be_joined_stops_the_start(tmp_path: Path) -> None:
    rows: list[Any] = report("", f"--cgroup={tmp_path / 'none'}")
    assert broken(rows) == ["cgroup"]
