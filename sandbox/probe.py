"""Proof, not hope: throw-away workers try what must not work, before any code of a user runs.

    walk      one worker takes the checklist's steps; after each, it tries what that layer must stop, while no later
              layer hides it; at the end, what the filter answers with EPERM
    killed    a worker each, jailed like any other, for the calls that must end in SIGSYS

The table is read as: layer, what is tried, how, and the answers that prove the layer. Arguments are such that nothing
happens if a call is let through.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

import msgpack

from sandbox import jail, kernel, landlock, seccomp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SECONDS_MAX: Final = 5
"""A throw-away worker that takes longer is killed by its own timer."""
AT_ONCE: Final = 8
"""Throw-away workers at a time."""
SET_UP: Final = "setting it up"
KILLED: Final = "killed by SIGSYS"
ABSTRACT_NAME: Final = "\0engine-probe"
ANSWER_BYTES_MAX: Final = 65536


class Attempt(NamedTuple):
    """Something that must not work. `attempt` answers in words; an `OSError` that it raises answers by its name."""

    layer: str
    tried: str
    attempt: Callable[[], object]
    expected: tuple[str, ...]
    landlock_abi: int = 0
    """The first version of Landlock that stops it."""


class Row(NamedTuple):
    """What came of a layer or an attempt."""

    layer: str
    state: str
    """`holding`, `absent` (and waived), or `broken`."""
    tried: str
    answer: str
    remedy: str


def _call(name: str, *arguments: object) -> Callable[[], object]:
    """A system call by its name in the filter's tables. Its number is looked up now: `uname` is refused later."""
    calls = (*seccomp.ALLOWED, *seccomp.KILLED, *(filtered.call for filtered in seccomp.FILTERED))
    number = next(call for call in calls if call.name == name).number(os.uname().machine)
    return lambda: kernel.syscall(-1 if number is None else number, *arguments)


# --- What is tried


def _capabilities() -> str:
    header = (ctypes.c_uint32 * 2)(jail.CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    kernel.call("capget", header, sets)
    return "none" if not any(sets) else "some"


def _environment() -> str:
    block = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    return "empty" if not os.environ and (not block or not block[0]) else "not empty"


def _datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("127.0.0.1", 9))


def _other_descriptors(keep: Iterable[int]) -> str:
    kept = set(keep)
    for fd in range(256):
        if fd not in kept:
            with contextlib.suppress(OSError):
                os.fstat(fd)
                return f"{fd} is open"
    return "all closed"


def _open_root() -> None:
    os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY))


def _bind() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("0.0.0.0", 0))  # noqa: S104  it must be refused


def _connect_abstract() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.connect(ABSTRACT_NAME)


def _fork() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def _raise_limit() -> None:
    kernel.call("setrlimit", resource.RLIMIT_NPROC, (ctypes.c_ulong * 2)(1, 1))


def _map_shared() -> None:
    mmap.mmap(-1, mmap.PAGESIZE).close()


def _map_much() -> None:
    mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()


def _map_executable() -> None:
    mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_EXEC).close()


def _death_signal() -> str:
    number = ctypes.c_int()
    kernel.prctl(kernel.PR_GET_PDEATHSIG, ctypes.byref(number))
    return signal.Signals(number.value).name if number.value else "none"


WALK: Final = (
    Attempt("environment", "reading the environment", _environment, ("empty",)),
    Attempt("ids", "becoming root", lambda: os.setresuid(0, 0, 0), ("EPERM", "EINVAL")),
    Attempt("namespaces", "asking for the parent", lambda: f"process {os.getppid()}", ("process 1",)),
    Attempt("namespaces", "sending to 127.0.0.1", _datagram, ("ENETUNREACH",)),
    Attempt("root", "looking at /proc", lambda: os.stat("/proc"), ("ENOENT",)),  # noqa: PTH116  the call itself is tried
    Attempt("root", "making a directory", lambda: os.mkdir("/made"), ("EROFS", "EACCES")),  # noqa: PTH102  the call itself is tried
    Attempt(
        "securebits", "keeping capabilities", lambda: kernel.prctl(kernel.PR_SET_KEEPCAPS, 1), ("EPERM",)
    ),
    Attempt("capabilities", "reading the capabilities", _capabilities, ("none",)),
    Attempt("capabilities", "using one", lambda: kernel.prctl(kernel.PR_CAPBSET_DROP, 0), ("EPERM",)),
    Attempt(
        "no_new_privs", "reading the flag", lambda: str(kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS)), ("1",)
    ),
    Attempt("dumpable", "reading the flag", lambda: str(kernel.prctl(kernel.PR_GET_DUMPABLE)), ("0",)),
    Attempt("life", "reading the signal for a parent's death", _death_signal, ("SIGKILL",)),
    Attempt("landlock", "opening the root directory", _open_root, ("EACCES",)),
    Attempt("landlock", "binding a TCP port", _bind, ("EACCES",), 4),
    Attempt("landlock", "signalling the parent", lambda: os.kill(os.getppid(), 0), ("EPERM",), 6),
    Attempt("landlock", "connecting to an abstract socket", _connect_abstract, ("EPERM",), 6),
    Attempt("limits", "forking", _fork, ("EAGAIN",)),
    Attempt("limits", "another descriptor", os.pipe, ("EMFILE",)),
    Attempt("limits", "raising a limit", _raise_limit, ("EPERM",)),
    Attempt("limits", "a terabyte of memory", _map_much, ("ENOMEM",)),
    Attempt("seccomp", "open", _open_root, ("EPERM",)),
    Attempt("seccomp", "stat", lambda: os.stat("/"), ("EPERM",)),  # noqa: PTH116  the call itself is tried
    Attempt("seccomp", "reading /proc", lambda: os.listdir("/proc"), ("EPERM",)),  # noqa: PTH208  the call itself is tried
    Attempt("seccomp", "fork", _fork, ("EPERM",)),
    Attempt("seccomp", "pipe", os.pipe, ("EPERM",)),
    Attempt("seccomp", "memory shared with others", _map_shared, ("EPERM",)),
    Attempt("seccomp", "raising a limit", _raise_limit, ("EPERM",)),
    Attempt("seccomp", "becoming dumpable", lambda: kernel.prctl(kernel.PR_SET_DUMPABLE, 1), ("EPERM",)),
)
"""In the order of the checklist; a layer's attempts are made when its step has been taken."""

_NAMESPACE_CLONE: Final = jail.CLONE_NEWUSER | signal.SIGCHLD
_MUST_KILL: Final = (
    ("socket", "socket", (socket.AF_INET, socket.SOCK_STREAM, 0)),
    ("passing a descriptor", "sendmsg", (-1, None, 0)),
    ("exec", "execve", (b"/none", None, None)),
    ("ptrace of its parent", "ptrace", (16, 1, None, None)),
    ("reading others' memory", "process_vm_readv", (1, None, 0, None, 0, 0)),
    ("a signal to its parent", "kill", (1, 0)),
    ("a signal to its parent's thread", "tgkill", (1, 1, 0)),
    ("a pidfd", "pidfd_open", (1, 0)),
    ("mount", "mount", (None, None, None, 0, None)),
    ("unshare", "unshare", (0,)),
    ("clone into a namespace", "clone", (_NAMESPACE_CLONE, -1)),
    ("bpf", "bpf", (-1, None, 0)),
    ("perf events", "perf_event_open", (None, 0, 0, -1, 0)),
    ("userfaultfd", "userfaultfd", (-1,)),
    ("io_uring", "io_uring_setup", (0, None)),
    ("memfd", "memfd_create", (None, 0)),
    (
        "memory that can be run",
        "mmap",
        (None, mmap.PAGESIZE, mmap.PROT_EXEC, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0),
    ),
    ("making memory runnable", "mprotect", (None, 0, mmap.PROT_EXEC)),
    ("keyctl", "keyctl", (-1, 0, 0, 0, 0)),
    ("a file by handle", "open_by_handle_at", (-1, None, 0)),
    ("shared memory", "shmget", (0, 0, 0)),
    ("becoming root", "setresuid", (0, 0, 0)),
    ("a kernel module", "init_module", (None, 0, None)),
)
"""(what is tried, call, arguments that the kernel would refuse anyway, or that do nothing): one or two of each family in
`seccomp.KILLED`, as each costs a process; the tests try every call."""
MUST_KILL: Final = (
    *(Attempt("seccomp", tried, _call(name, *arguments), (KILLED,)) for tried, name, arguments in _MUST_KILL),
    Attempt("seccomp", "an x32 call", lambda: kernel.syscall(seccomp.X32_BIT | 39), (KILLED,)),
)


# --- Trying


def _answer(attempt: Attempt) -> str:
    try:
        answer = attempt.attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return answer if isinstance(answer, str) else "it works"


def _row(attempt: Attempt, answer: str) -> Row:
    state = "holding" if answer in attempt.expected else "broken"
    return Row(attempt.layer, state, attempt.tried, answer, jail.REMEDIES[attempt.layer])


def run(room: jail.Jail) -> list[Row]:
    """Try everything, in the zygote once its own steps are taken; rows in the checklist's order, absent layers too."""
    rows = absent(room) + _set_up(room)
    with _abstract_socket():
        rows += _walk(room)
    # Without a filter there is nothing to be killed by.
    if any(row.layer == "seccomp" and row.state == "holding" for row in rows):
        for first in range(0, len(MUST_KILL), AT_ONCE):
            rows += _try_killing(MUST_KILL[first : first + AT_ONCE], room)
    if not any(row.state == "broken" and row.tried == SET_UP for row in rows):  # else the walk ended there
        tried = {row.layer for row in rows}
        untried = dict.fromkeys(attempt.layer for attempt in WALK if attempt.layer not in tried)
        rows += [
            Row(layer, "broken", "anything", "nothing was tried", jail.REMEDIES[layer]) for layer in untried
        ]
    return rows


def absent(room: jail.Jail) -> list[Row]:
    """A row a layer that this host hasn't got and a waiver covers."""
    return [
        Row(layer, "absent", SET_UP, answer, jail.REMEDIES[layer]) for layer, answer in room.absent.items()
    ]


def not_set_up(error: jail.JailError) -> Row:
    """The row of a layer that must be there and isn't."""
    return Row(error.layer, "broken", SET_UP, error.answer, error.remedy)


def _set_up(room: jail.Jail) -> list[Row]:
    """What can't be tried from inside: the files that say so are out of reach by now."""
    answers = {
        "oom": f"oom_score_adj {jail.OOM_SCORE}",
        "cgroup": " ".join(room.cgroups),
        "landlock": landlock.covers(jail.landlock_abi()),
    }
    rows = [
        Row(layer, "holding", SET_UP, answer, jail.REMEDIES[layer])
        for layer, answer in answers.items()
        if answer and layer not in room.absent
    ]
    asked = Attempt("ids", "asking the host who it is", str, (f"user {room.user}",) if room.user else ())
    return [*rows, _row(asked, f"user {room.user}")]


@contextlib.contextmanager
def _abstract_socket() -> Iterator[None]:
    """Somebody outside the worker's Landlock domain to connect to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        with contextlib.suppress(OSError):
            listener.bind(ABSTRACT_NAME)
        yield


def _walk(room: jail.Jail) -> list[Row]:
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if not child:
        _walk_in_child(room, write_fd)
    os.close(write_fd)
    packed = b""
    while data := os.read(read_fd, ANSWER_BYTES_MAX):
        packed += data
    os.close(read_fd)
    _, status = os.waitpid(child, 0)
    return [Row(*row) for row in msgpack.unpackb(packed)] if packed else [_unfinished(_death(status))]


def _unfinished(answer: str) -> Row:
    return Row("seccomp", "broken", "a worker that tries things", answer, jail.REMEDIES["seccomp"])


def _walk_in_child(room: jail.Jail, write_fd: int) -> NoReturn:
    rows: list[Row] = []
    try:
        signal.setitimer(signal.ITIMER_REAL, SECONDS_MAX)
        room.keep = (write_fd,)
        rows += _attempts_of({step.layer for step in (*jail.LAUNCHER, *jail.ZYGOTE)} - {"life"}, room)
        for step in (*jail.WORKER_BEFORE_LOOP, *jail.WORKER):
            jail.take([step], room)
            rows += _attempts_of({step.layer}, room)
    except jail.JailError as error:
        rows.append(not_set_up(error))
    except BaseException as error:  # noqa: BLE001  the reason is what the operator needs
        rows.append(_unfinished(f"{type(error).__name__}: {error}"))
    finally:
        os.write(write_fd, msgpack.packb(rows))
        os._exit(0)


def _attempts_of(layers: set[str], room: jail.Jail) -> list[Row]:
    rows = []
    if "descriptors" in layers:
        answer = _other_descriptors(room.keep)
        rows.append(_row(Attempt("descriptors", "using any other descriptor", str, ("all closed",)), answer))
    version = jail.landlock_abi()
    rows += [
        _row(attempt, _answer(attempt))
        for attempt in WALK
        if attempt.layer in layers and attempt.layer not in room.absent and attempt.landlock_abi <= version
    ]
    return rows


def _try_killing(attempts: Iterable[Attempt], room: jail.Jail) -> list[Row]:
    children = []
    for attempt in attempts:
        child = os.fork()
        if not child:
            _die_of(attempt, room)
        children.append((attempt, child))
    return [_row(attempt, _death(os.waitpid(child, 0)[1])) for attempt, child in children]


def _die_of(attempt: Attempt, room: jail.Jail) -> NoReturn:
    status = 255
    try:
        signal.setitimer(signal.ITIMER_REAL, SECONDS_MAX)
        room.keep = ()
        jail.lock_worker(room, lambda: None)
        answer = _answer(attempt)
        status = getattr(errno, answer, 0)
    finally:
        os._exit(status)


def _death(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return KILLED if number == signal.SIGSYS else f"killed by signal {number}"
    code = os.WEXITSTATUS(status)
    return errno.errorcode.get(code, f"status {code}") if code else "it works"
