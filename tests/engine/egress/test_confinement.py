"""What an egress process may still do once it is confined: the same steps, taken by a process that then tries."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from typing import Final

import pytest

from sandbox import landlock

ALLOWED: Final = {
    "resolves names": "print(socket.getaddrinfo('localhost', 80)[0][0])",
    "resolves in a thread": """
        import concurrent.futures
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            print(pool.submit(socket.getaddrinfo, 'localhost', 80).result()[0][0])
        """,
    "calls over TCP": "socket.create_connection(listener.getsockname()).close(); print('called')",
    "binds an address of its own": "s = socket.socket(); s.bind(('127.0.0.1', 0)); print('bound')",
    "reads what resolving needs": "print(len(open('/etc/hosts').read()))",
    "makes a socket pair": "print(socket.socketpair())",
    "runs uvloop": "import uvloop, asyncio; uvloop.run(asyncio.sleep(0)); print('ran')",
}
REFUSED: Final = {
    "another file": "open('/etc/passwd')",
    "its own program": "open(sys.executable, 'rb')",
    "a folder": "os.listdir('/')",
    "the processes": "open('/proc/1/status')",
    "its own memory": "open('/proc/self/mem', 'rb')",
    "writing": "open('/tmp/egress-was-here', 'w')",
    "a new folder": "os.mkdir('/tmp/egress-was-here')",
}
KILLED: Final = {
    "a program": "os.execv('/bin/true', ['true'])",
    "signals": "os.kill(os.getppid(), 0)",
    "listening": "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()",
    "namespaces": "import ctypes; ctypes.CDLL(None).unshare(0x10000000)",
    "looking into a process": "import ctypes; ctypes.CDLL(None).ptrace(16, 1, 0, 0)",
    "becoming somebody else": "os.setuid(os.getuid())",
    "mounting": "import ctypes; ctypes.CDLL(None).mount(None, b'/', None, 0, None)",
}


def attempt(source: str) -> subprocess.CompletedProcess[str]:
    program = f"""
import os, socket, subprocess, sys
import uvloop, asyncio, concurrent.futures.thread, ctypes
from engine.egress import confinement
listener = socket.create_server(('127.0.0.1', 0))
print(*confinement.enter(os.getppid()), file=sys.stderr)
{textwrap.dedent(source)}
"""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )


@pytest.mark.parametrize("name", ALLOWED)
def test_it_keeps_what_it_works_with(name: str) -> None:
    done = attempt(ALLOWED[name])
    assert (done.returncode, done.stdout != "") == (0, True), done.stderr


@pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock, or it is switched off")
@pytest.mark.parametrize("name", REFUSED)
def test_it_has_no_other_files(name: str) -> None:
    done = attempt(REFUSED[name])
    assert "PermissionError" in done.stderr, done.stderr


@pytest.mark.parametrize("name", KILLED)
def test_what_it_never_does_ends_it(name: str) -> None:
    done = attempt(KILLED[name])
    assert done.returncode == -signal.SIGSYS, done.stderr


def test_every_layer_holds_and_is_told() -> None:
    done = attempt("")
    for layer in ("ids", "life", "capabilities", "no_new_privs", "seccomp", "dumpable"):
        assert f"'{layer}', 'holding'" in done.stderr
