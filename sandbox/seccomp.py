"""The system-call filter: calls as data, each with its reason, and the assembler that turns them into a BPF program.

    ALLOWED     what a worker needs
    FILTERED    what it needs with some arguments
    KILLED      what no honest code does: the process dies by SIGSYS, which the supervisor takes for an attack
    all others  answer EPERM: tracebacks, libraries and caches try to open or stat, and carry on without

A call of another architecture (32-bit entry points) and an x32 call kill. The program is checked against the tables in
`tests/sandbox/test_seccomp.py`. The column for aarch64 follows the kernel's generic table and has not been run.
Source of the numbers: `asm/unistd_64.h`, `asm-generic/unistd.h`; of the program: `Documentation/userspace-api/seccomp_filter.rst`.
"""

from __future__ import annotations

import ctypes
import errno
import resource
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from sandbox import kernel

if TYPE_CHECKING:
    from collections.abc import Iterable


class Verdict(IntEnum):
    """What the kernel does with a call: `SECCOMP_RET_…`."""

    ALLOW = 0x7FFF0000
    REFUSE = 0x00050000 | errno.EPERM
    KILL = 0x80000000


class Call(NamedTuple):
    """A system call, and why it is where it is. None where an architecture hasn't got it."""

    name: str
    x86_64: int | None
    aarch64: int | None
    reason: str

    def number(self, machine: str) -> int | None:
        """Its number on a machine that `ARCHITECTURES` names."""
        return self.x86_64 if machine == "x86_64" else self.aarch64


class Check(NamedTuple):
    """Holds if the argument's low word, masked, is one of `values`; else `otherwise` is the verdict.

    The low word is enough: each argument checked here is an `int` to the kernel, or has its flags in the low word.
    """

    argument: int
    mask: int
    values: tuple[int, ...]
    otherwise: Verdict


class Filtered(NamedTuple):
    """A call whose arguments are checked one after the other; `then` is the verdict if all checks hold."""

    call: Call
    checks: tuple[Check, ...]
    then: Verdict = Verdict.ALLOW


OWN_PID: Final = -1
"""Stands for the process's number until the filter is installed."""
WORD: Final = 0xFFFFFFFF

PROT_EXEC: Final = 4
MAP_TYPE: Final = 0x0F
MAP_PRIVATE: Final = 0x02
MAP_ANONYMOUS: Final = 0x20
MAP_GROWSDOWN: Final = 0x100
MAP_LOCKED: Final = 0x2000
MAP_HUGETLB: Final = 0x40000
MADV_DONTNEED: Final = 4
MADV_FREE: Final = 8
FUTEX_COMMAND: Final = 0x7F
FUTEX_SIMPLE: Final = (0, 1, 3, 4, 5, 9, 10)
"""Wait, wake, requeue, with and without a bit set; not the operations with priority inheritance."""
FIONBIO: Final = 0x5421
CLONE_NAMESPACES: Final = 0x7E020000


def _calls(reason: str, **numbers: tuple[int | None, int | None]) -> tuple[Call, ...]:
    return tuple(Call(name, *pair, reason) for name, pair in numbers.items())


ALLOWED: Final[tuple[Call, ...]] = (
    *_calls("frames in and out, through the pipes it has", read=(0, 63), write=(1, 64)),
    *_calls("the tick that sends outcomes and watches the deadline", setitimer=(38, 103), rt_sigreturn=(15, 139)),
    *_calls("the event loop of async handlers", epoll_wait=(232, None), epoll_pwait=(281, 22), epoll_ctl=(233, 21)),
    *_calls("time, where it isn't read without a call", clock_gettime=(228, 113), clock_getres=(229, 114)),
    *_calls("time, as older code asks for it", gettimeofday=(96, 169), time=(201, None)),
    *_calls("`time.sleep`", clock_nanosleep=(230, 115), nanosleep=(35, 101)),
    *_calls("continuing a sleep after a stop", restart_syscall=(219, 128)),
    *_calls("randomness: `secrets`, `uuid4`, seeds", getrandom=(318, 278)),
    *_calls("memory: the allocators grow, move and return it", brk=(12, 214), munmap=(11, 215), mremap=(25, 216)),
    *_calls("waiting for a pipe with a time-out", poll=(7, None), ppoll=(271, 73)),
    *_calls("signal handlers and masks of its own", rt_sigaction=(13, 134), rt_sigprocmask=(14, 135)),
    *_calls("who am I: `abort`, `getpid`", getpid=(39, 172), gettid=(186, 178)),
    *_calls("locks that spin", sched_yield=(24, 124)),
    *_calls("objects that are dropped close what they hold", close=(3, 57)),
    *_calls("the end", exit=(60, 93), exit_group=(231, 94)),
)  # fmt: skip

FILTERED: Final[tuple[Filtered, ...]] = (
    Filtered(
        Call(
            "mmap",
            9,
            222,
            "memory: private and anonymous, so that it counts as the worker's; never executable",
        ),
        (
            Check(2, PROT_EXEC, (0,), Verdict.KILL),
            Check(
                3,
                MAP_TYPE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_LOCKED | MAP_HUGETLB,
                (MAP_PRIVATE | MAP_ANONYMOUS,),
                Verdict.REFUSE,
            ),
        ),
    ),
    Filtered(
        Call("mprotect", 10, 226, "arenas of the allocator grow by it; never executable"),
        (Check(2, PROT_EXEC, (0,), Verdict.KILL),),
    ),
    Filtered(
        Call("madvise", 28, 233, "freed memory goes back to the system"),
        (Check(2, WORD, (MADV_DONTNEED, MADV_FREE), Verdict.REFUSE),),
    ),
    Filtered(
        Call("futex", 202, 98, "locks of the interpreter"),
        (Check(1, FUTEX_COMMAND, FUTEX_SIMPLE, Verdict.REFUSE),),
    ),
    Filtered(
        Call("ioctl", 16, 29, "`os.set_blocking` on its pipes"),
        (Check(1, WORD, (FIONBIO,), Verdict.REFUSE),),
    ),
    Filtered(
        Call("tgkill", 234, 131, "`abort` and `raise` signal the process itself, and nobody else"),
        (Check(0, WORD, (OWN_PID,), Verdict.KILL), Check(1, WORD, (OWN_PID,), Verdict.KILL)),
    ),
    Filtered(
        Call(
            "prlimit64", 302, 261, "lowering its own address space when it is bound; no limit can be raised"
        ),
        (Check(0, WORD, (0,), Verdict.REFUSE), Check(1, WORD, (resource.RLIMIT_AS,), Verdict.REFUSE)),
    ),
    Filtered(
        Call(
            "clone", 56, 220, "threads and processes are refused as a library expects it; new namespaces kill"
        ),
        (Check(0, CLONE_NAMESPACES, (0,), Verdict.KILL),),
        Verdict.REFUSE,
    ),
)

KILLED: Final[tuple[Call, ...]] = (
    *_calls(
        "reaches other machines or processes; a worker has pipes",
        socket=(41, 198), socketpair=(53, 199), connect=(42, 203), accept=(43, 202), accept4=(288, 242), bind=(49, 200),
        listen=(50, 201), sendmsg=(46, 211), recvmsg=(47, 212), sendmmsg=(307, 269), recvmmsg=(299, 243),
        setsockopt=(54, 208),
    ),
    *_calls("becomes another program", execve=(59, 221), execveat=(322, 281), uselib=(134, None)),
    *_calls(
        "looks into, steers or signals other processes",
        ptrace=(101, 117), process_vm_readv=(310, 270), process_vm_writev=(311, 271), process_madvise=(440, 440),
        process_mrelease=(448, 448), kcmp=(312, 272), kill=(62, 129), tkill=(200, 130), rt_sigqueueinfo=(129, 138),
        rt_tgsigqueueinfo=(297, 240), pidfd_open=(434, 434), pidfd_getfd=(438, 438), pidfd_send_signal=(424, 424),
        migrate_pages=(256, 238), move_pages=(279, 239),
    ),
    *_calls(
        "changes what file systems there are",
        mount=(165, 40), umount2=(166, 39), pivot_root=(155, 41), chroot=(161, 51), move_mount=(429, 429),
        open_tree=(428, 428), fsopen=(430, 430), fsconfig=(431, 431), fsmount=(432, 432), fspick=(433, 433),
        mount_setattr=(442, 442), swapon=(167, 224), swapoff=(168, 225), quotactl=(179, 60), quotactl_fd=(443, 443),
    ),
    *_calls("enters or makes namespaces", unshare=(272, 97), setns=(308, 268)),
    *_calls(
        "wide interfaces to the kernel, with a history of holes",
        bpf=(321, 280), perf_event_open=(298, 241), userfaultfd=(323, 282), io_uring_setup=(425, 425),
        io_uring_enter=(426, 426), io_uring_register=(427, 427), io_setup=(206, 0), io_submit=(209, 2),
        io_destroy=(207, 1), vmsplice=(278, 75), remap_file_pages=(216, 234), modify_ldt=(154, None),
        fanotify_init=(300, 262), fanotify_mark=(301, 263), lookup_dcookie=(212, 18), mbind=(237, 235),
        set_mempolicy=(238, 237),
    ),
    *_calls("keys of the kernel", keyctl=(250, 219), add_key=(248, 217), request_key=(249, 218)),
    *_calls("memory that could be run, or lies outside its limits", memfd_create=(319, 279), memfd_secret=(447, 447), pkey_mprotect=(329, 288)),
    *_calls("opens files past every path", open_by_handle_at=(304, 265), name_to_handle_at=(303, 264)),
    *_calls(
        "shares memory and messages with other processes",
        shmget=(29, 194), shmat=(30, 196), shmctl=(31, 195), shmdt=(67, 197), semget=(64, 190), semop=(65, 193),
        semctl=(66, 191), semtimedop=(220, 192), msgget=(68, 186), msgsnd=(69, 189), msgrcv=(70, 188), msgctl=(71, 187),
        mq_open=(240, 180), mq_unlink=(241, 181), mq_timedsend=(242, 182), mq_timedreceive=(243, 183),
        mq_notify=(244, 184), mq_getsetattr=(245, 185),
    ),
    *_calls(
        "becomes somebody else",
        setuid=(105, 146), setgid=(106, 144), setreuid=(113, 145), setregid=(114, 143), setresuid=(117, 147),
        setresgid=(119, 149), setgroups=(116, 159), setfsuid=(122, 151), setfsgid=(123, 152), capset=(126, 91),
    ),
    *_calls(
        "changes the machine",
        init_module=(175, 105), finit_module=(313, 273), delete_module=(176, 106), kexec_load=(246, 104),
        kexec_file_load=(320, 294), reboot=(169, 142), acct=(163, 89), syslog=(103, 116), settimeofday=(164, 170),
        clock_settime=(227, 112), clock_adjtime=(305, 266), adjtimex=(159, 171), sethostname=(170, 161),
        setdomainname=(171, 162), iopl=(172, None), ioperm=(173, None), vhangup=(153, 58),
    ),
    *_calls("changes how programs are run and calls are judged", personality=(135, 92), seccomp=(317, 277)),
)  # fmt: skip

ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""`AUDIT_ARCH_…`; by the machine's name, which is also a column of `Call`."""
X32_BIT: Final = 0x40000000

# `sendto` and `recvfrom` are not in `KILLED`: the event loop would wake itself through a socket pair of its own.

# --- The program

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_IF_EQUAL, _IF_AT_LEAST = 0x15, 0x35
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_Line = tuple[int, int, int, int]
"""Operation, lines to skip if true, if false, constant."""
_INSTRUCTION: Final = struct.Struct("<HBBI")
_CONSTANT_AT: Final = 4


class Program(NamedTuple):
    """BPF instructions, eight bytes each, and where the process's own number goes into them."""

    code: bytes
    own_pid_at: tuple[int, ...]

    def of_process(self, pid: int) -> bytes:
        """The instructions for one process."""
        code = bytearray(self.code)
        for offset in self.own_pid_at:
            struct.pack_into("<I", code, offset, pid)
        return bytes(code)


def assemble(machine: str) -> Program:
    """The tables as a program for `machine`. Raises `KeyError` for one that they don't know."""
    return _program(machine, _ranges(machine))


def _program(machine: str, ranges: list[tuple[int, tuple[_Line, ...]]]) -> Program:
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_IF_EQUAL, 1, 0, ARCHITECTURES[machine]),
        (_RETURN, 0, 0, Verdict.KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_IF_AT_LEAST, 0, 1, X32_BIT),
        (_RETURN, 0, 0, Verdict.KILL),
        *_search(ranges),
    ]
    own = (at * _INSTRUCTION.size + _CONSTANT_AT for at, line in enumerate(lines) if line[3] == OWN_PID)
    return Program(b"".join(_INSTRUCTION.pack(*line[:3], line[3] & WORD) for line in lines), tuple(own))


def assemble_denying(machine: str, spared: frozenset[str]) -> Program:
    """A program for a process of ours, which may do what it likes but nothing of `KILLED`; of those the calls `spared` it may.

    `io_uring` is refused and not punished: libuv tries it, and carries on without. Raises `KeyError` as `assemble` does.
    """
    treated: dict[int, tuple[_Line, ...]] = {}
    for call in KILLED:
        number = call.number(machine)
        if number is not None and call.name not in spared:
            verdict = Verdict.REFUSE if call.name.startswith("io_uring") else Verdict.KILL
            treated[number] = (_end(verdict),)
    return _program(machine, _runs(treated, (_end(Verdict.ALLOW),)))


def _ranges(machine: str) -> list[tuple[int, tuple[_Line, ...]]]:
    """(first number, what is done from there on), ascending from 0: neighbours that are treated alike are one range."""
    refuse = (_end(Verdict.REFUSE),)
    treated: dict[int, tuple[_Line, ...]] = {}
    for calls, verdict in ((ALLOWED, Verdict.ALLOW), (KILLED, Verdict.KILL)):
        treated.update({number: (_end(verdict),) for number in _numbers(calls, machine)})
    for filtered in FILTERED:
        block = (*(line for check in filtered.checks for line in _check(check)), _end(filtered.then))
        treated.update(dict.fromkeys(_numbers((filtered.call,), machine), block))
    return _runs(treated, refuse)


def _runs(
    treated: dict[int, tuple[_Line, ...]], otherwise: tuple[_Line, ...]
) -> list[tuple[int, tuple[_Line, ...]]]:
    ranges = [(0, treated.get(0, otherwise))]
    for number in range(1, max(treated) + 2):
        block = treated.get(number, otherwise)
        if block != ranges[-1][1]:
            ranges.append((number, block))
    return ranges


def _search(ranges: list[tuple[int, tuple[_Line, ...]]]) -> list[_Line]:
    """By halves: the kernel runs the program once for every number when it is installed, to know what is always allowed."""
    if len(ranges) == 1:
        return list(ranges[0][1])
    middle = len(ranges) // 2
    below, above = _search(ranges[:middle]), _search(ranges[middle:])
    return [(_IF_AT_LEAST, len(below), 0, ranges[middle][0]), *below, *above]


def _numbers(calls: Iterable[Call], machine: str) -> list[int]:
    return [number for call in calls if (number := call.number(machine)) is not None]


def _check(check: Check) -> list[_Line]:
    """Fall through if the check holds."""
    lines = [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * check.argument)]
    if check.mask != WORD:
        lines.append((_AND, 0, 0, check.mask))
    left = len(check.values)
    lines += [(_IF_EQUAL, left - at, 0, value) for at, value in enumerate(check.values)]
    return [*lines, _end(check.otherwise)]


def _end(verdict: Verdict) -> _Line:
    return (_RETURN, 0, 0, verdict)


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install(code: bytes) -> None:
    """Filter every later call of this process, which has `no_new_privs` and one thread. Raises `OSError`."""
    mode_filter = 2
    program = _Filter(len(code) // _INSTRUCTION.size, code)
    kernel.prctl(kernel.PR_SET_SECCOMP, mode_filter, ctypes.byref(program))
