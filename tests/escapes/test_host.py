"""Attacks on the host: files, sockets, processes, other memory, and whatever the kernel offers besides."""

from __future__ import annotations

from attempts import Attempt
from ways import (
    test_it_fails_as_a_function,
    test_it_succeeds_in_plain_python,
    test_it_wins_nothing_in_the_jail,
)

__all__ = [
    "test_it_fails_as_a_function",
    "test_it_succeeds_in_plain_python",
    "test_it_wins_nothing_in_the_jail",
]

LIBC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"

ATTEMPTS = [
    Attempt(name, source, reveals, jailed="nothing")
    for name, source, reveals in [
        ("a file read", "def attempt(): return open('@FILE@').read()", "canary-5e1f0b"),
        (
            "a file read by the kernel's own call",
            "import os\ndef attempt(): return str(os.read(os.open('@FILE@', os.O_RDONLY), 99))",
            "canary-5e1f0b",
        ),
        ("a folder listed", "import os\ndef attempt(): return str(os.listdir('@FOLDER@'))", "canary"),
        (
            "a file asked about",
            "import os\ndef attempt(): return f'{os.stat(\"@FILE@\").st_size} bytes'",
            "13 bytes",
        ),
        (
            "a file written",
            "def attempt():\n    with open('@FOLDER@/written', 'w') as file: return f'{file.write(\"x\")} written'",
            "1 written",
        ),
        (
            "a file deleted",
            "import os\ndef attempt():\n    open('@FOLDER@/victim', 'w').close()\n    os.unlink('@FOLDER@/victim')\n    return 'deleted'",
            "deleted",
        ),
        (
            "a file made executable",
            "import os\ndef attempt():\n    os.chmod('@FILE@', 0o644)\n    return 'changed'",
            "changed",
        ),
        (
            "a link",
            "import os, random\ndef attempt():\n    os.symlink('/etc', f'@FOLDER@/link{random.random()}')\n    return 'linked'",
            "linked",
        ),
        (
            "a temporary file",
            "import tempfile\ndef attempt():\n    with tempfile.TemporaryFile() as file: return f'{file.write(b\"x\")} written'",
            "1 written",
        ),
        (
            "a directory descriptor kept open",
            "import os\ndef attempt(): return str(os.fwalk('@FOLDER@').__next__())",
            "canary",
        ),
        (
            "descriptors that were left open",
            "import os, stat\ndef attempt():\n    kept = os.open('@FILE@', os.O_RDONLY)\n    return str([read(fd) for fd in range(64)])\n"
            "def read(fd):\n    try: return os.pread(fd, 20, 0)\n    except OSError: return None",
            "canary-5e1f0b",
        ),
        (
            "the command line of pid 1",
            "def attempt(): return str(len(open('/proc/1/cmdline').read()) > 0)",
            "True",
        ),
        (
            "the memory map of oneself",
            "def attempt(): return open('/proc/self/maps').read()[:2000]",
            "python|libc",
        ),
        ("the environment", "import os\ndef attempt(): return os.environ['CANARY']", "canary-5e1f0b"),
        (
            "the environment of the process, in /proc",
            "def attempt(): return open('/proc/self/environ').read()",
            "canary-5e1f0b",
        ),
        (
            "a connection",
            "import socket\ndef attempt():\n    socket.create_connection(('127.0.0.1', @PORT@), 1).close()\n    return 'connected'",
            "connected",
        ),
        (
            "a listener",
            "import socket\ndef attempt():\n    with socket.create_server(('127.0.0.1', 0)) as server: return f'listening {server.getsockname()}'",
            "listening",
        ),
        (
            "a datagram",
            'import socket\ndef attempt():\n    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n    return f\'{s.sendto(b"x", ("127.0.0.1", 9))} sent\'',
            "1 sent",
        ),
        (
            "an abstract Unix socket",
            "import socket, random\ndef attempt():\n    s = socket.socket(socket.AF_UNIX)\n    s.bind(f'\\0x{random.random()}')\n    return 'bound'",
            "bound",
        ),
        (
            "a pair of sockets",
            "import socket\ndef attempt():\n    a, b = socket.socketpair()\n    a.send(b'through')\n    return str(b.recv(9))",
            "through",
        ),
        (
            "a name resolved",
            "import socket\ndef attempt(): return str(socket.getaddrinfo('localhost', 80))",
            "127.0.0.1|::1",
        ),
        (
            "an event loop's connection",
            "import asyncio\nasync def attempt():\n    _, writer = await asyncio.open_connection('127.0.0.1', @PORT@)\n    writer.close()\n    return 'connected'",
            "connected",
        ),
        (
            "a program",
            "import subprocess\ndef attempt(): return subprocess.run(['cat', '@FILE@'], capture_output=True, text=True).stdout",
            "canary-5e1f0b",
        ),
        ("a shell", "import os\ndef attempt(): return os.popen('cat @FILE@').read()", "canary-5e1f0b"),
        (
            "a program without a fork",
            "import os\ndef attempt():\n    r, w = os.pipe()\n    pid = os.posix_spawn('/bin/cat', ['cat', '@FILE@'], {}, file_actions=[(os.POSIX_SPAWN_DUP2, w, 1)])\n"
            "    os.waitpid(pid, 0)\n    return str(os.read(r, 99))",
            "canary-5e1f0b",
        ),
        (
            "a process",
            "import os\ndef attempt():\n    pid = os.fork()\n    if pid == 0: os._exit(7)\n    return f'status {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}'",
            "status 7",
        ),
        (
            "ten processes",
            "import os\ndef attempt():\n    pids = []\n    for _ in range(10):\n        pid = os.fork()\n        if pid == 0: os._exit(0)\n        pids.append(pid)\n"
            "    for pid in pids: os.waitpid(pid, 0)\n    return f'{len(pids)} processes'",
            "10 processes",
        ),
        (
            "a thread",
            "import _thread, time\ndone = []\ndef attempt():\n    _thread.start_new_thread(done.append, ('a thread ran',))\n    time.sleep(0.05)\n    return done",
            "a thread ran",
        ),
        (
            "a signal to another process",
            "import os\ndef attempt():\n    os.kill(@PID@, 0)\n    return 'it is there'",
            "it is there",
        ),
        (
            "a signal to the parent",
            "import os\ndef attempt():\n    os.kill(os.getppid(), 0)\n    return 'it is there'",
            "it is there",
        ),
        (
            "a signal to the process group",
            "import os, signal\ndef attempt():\n    signal.signal(signal.SIGURG, signal.SIG_IGN)\n    os.killpg(os.getpgid(0), signal.SIGURG)\n    return 'sent'",
            "sent",
        ),
        (
            "a handle on another process",
            "import os\ndef attempt(): return f'handle {os.pidfd_open(@PID@)}'",
            "handle",
        ),
        (
            "a traced child",
            LIBC
            + "import os\ndef attempt():\n    pid = os.fork()\n    if pid == 0: os._exit(0 if libc.ptrace(0, 0, 0, 0) == 0 else 1)\n"
            "    os.waitpid(pid, 0)\n    return 'traced'",
            "traced",
        ),
        (
            "memory of another process",
            LIBC
            + "import os, time\ndef attempt():\n    text = ctypes.create_string_buffer(b'memory of a child')\n    pid = os.fork()\n"
            "    if pid == 0:\n        time.sleep(1)\n        os._exit(0)\n    into = ctypes.create_string_buffer(17)\n"
            "    class V(ctypes.Structure): _fields_ = [('p', ctypes.c_void_p), ('n', ctypes.c_size_t)]\n"
            "    a, b = V(ctypes.addressof(into), 17), V(ctypes.addressof(text), 17)\n"
            "    libc.process_vm_readv(pid, ctypes.byref(a), 1, ctypes.byref(b), 1, 0)\n    os.kill(pid, 9)\n    os.waitpid(pid, 0)\n    return into.raw.decode()",
            "memory of a child",
        ),
        (
            "executable memory",
            "import mmap\ndef attempt():\n    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()\n    return 'mapped'",
            "mapped",
        ),
        (
            "memory made executable",
            LIBC
            + "import mmap\ndef attempt():\n    m = mmap.mmap(-1, 4096)\n    a = ctypes.addressof(ctypes.c_char.from_buffer(m))\n"
            "    return f'answer {libc.mprotect(ctypes.c_void_p(a), 4096, 5)}'",
            "answer 0",
        ),
        (
            "a file in memory",
            'import os\ndef attempt(): return f\'{os.write(os.memfd_create("x"), b"x")} written\'',
            "1 written",
        ),
        (
            "shared memory of System V",
            LIBC
            + "def attempt():\n    i = libc.shmget(0, 4096, 0o1600)\n    libc.shmctl(i, 0, None)\n    return 'made' if i >= 0 else ''",
            "made",
        ),
        (
            "a queue of System V",
            LIBC
            + "def attempt():\n    i = libc.msgget(0, 0o1600)\n    libc.msgctl(i, 0, None)\n    return 'made' if i >= 0 else ''",
            "made",
        ),
        (
            "a timer file",
            LIBC + "def attempt(): return 'made' if libc.timerfd_create(1, 0) >= 0 else ''",
            "made",
        ),
        (
            "a watch on a folder",
            LIBC
            + "def attempt():\n    i = libc.inotify_init()\n    return 'watching' if libc.inotify_add_watch(i, b'@FOLDER@', 0xfff) > 0 else ''",
            "watching",
        ),
        (
            "a higher limit",
            "import resource\ndef attempt():\n    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n    return 'set'",
            "set",
        ),
        ("another priority", "import os\ndef attempt():\n    os.nice(1)\n    return 'nicer'", "nicer"),
        (
            "another processor",
            "import os\ndef attempt():\n    os.sched_setaffinity(0, os.sched_getaffinity(0))\n    return 'set'",
            "set",
        ),
        (
            "another session",
            "import os\ndef attempt():\n    if os.fork() == 0: os._exit(0)\n    os.wait()\n    return 'a child lived'",
            "a child lived",
        ),
        ("a terminal", "import os\ndef attempt(): return f'a terminal {os.openpty()}'", "a terminal"),
        (
            "the name of the host",
            "def attempt(): return open('/proc/sys/kernel/hostname').read() + ' is its name'",
            "is its name",
        ),
    ]
]
