"""How workers come to be: a fork that copies little, from memory without holes."""

from __future__ import annotations

import os
import subprocess
import sys

from sandbox import kernel
from sandbox.worker.packing import renew_code

PAGES_OF_NEW_OBJECTS = """
import gc, sandbox.modules
sandbox.modules.preload()
gc.collect()
if {fills}:
    from sandbox.worker.packing import fill_holes
    fill_holes()
kept = [bytes(size) for size in range(0, 440, 8) for _ in range(3)]
print(len({{id(each) // 4096 for each in kept}}))
"""


def pages_of_new_objects(*, fills: bool) -> int:
    source = PAGES_OF_NEW_OBJECTS.format(fills=fills)
    return int(subprocess.run([sys.executable, "-c", source], check=True, capture_output=True).stdout)


def test_a_fork_is_a_process_of_its_own() -> None:
    read_fd, write_fd = os.pipe()
    child = kernel.fork()
    if not child:
        os.write(write_fd, str(os.getpid()).encode())
        os._exit(7)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert os.read(read_fd, 20) == str(child).encode()
    os.close(read_fd)
    os.close(write_fd)


def test_what_is_allocated_once_the_holes_are_filled_lies_together() -> None:
    assert pages_of_new_objects(fills=True) < pages_of_new_objects(fills=False) * 3 / 4


def test_code_that_is_renewed_runs_as_before() -> None:
    def before() -> int:
        return sum(n for n in range(4))

    old = before.__code__
    renew_code({old})
    assert before.__code__ is not old
    assert before() == 6
