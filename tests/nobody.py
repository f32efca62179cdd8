"""`python tests/nobody.py [PYTEST'S ARGUMENTS]`: the tests as `nobody`, for root; what that user needs is copied to a folder that it can read.

That is an interpreter, the packages, the project. Left out are developers' tools that no test calls.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent
NOBODY: Final = 65534
UNFINISHED: Final = "*.pyc.*"
"""What is just being compiled by others has such a name until it is complete."""
LEFT_OUT: Final = (
    UNFINISHED,
    "site-packages",
    "test",
    "idlelib",
    "tkinter",
    "ensurepip",
    "lib2to3",
    "turtledemo",
    "config-*",
)
DEVELOPERS: Final = (
    UNFINISHED,
    "*editable*",
    *("ruff*", "grimp*", "pip", "pip-*", "setuptools*", "hatch*", "importlinter*"),
)
OF_SOURCES: Final = ("test_codebase.py", "test_docs.py")
"""Read the sources, which are the same for everybody: `nobody` runs all tests but these."""
BY_USER: Final = {
    "sandbox": "the jail, its workers and what they may ask of the kernel",
    "captured": "a daemon that is attacked by its workers",
    "escapes/test_remains.py": "attacks on the jail without the language layer",
    "engine/workers": "processes that are limited, measured and ended from outside",
    "engine/egress/test_confinement.py": "the egress's jail",
    "engine/registry": "files that must be nobody else's",
    "engine/cli/test_doctor.py": "what the jail's layers answer",
    "system/test_quarantine.py": "workers that the filter ends",
    "system/test_idle.py": "workers that are suspended and stopped",
    "system/test_people.py": "who connects, as the kernel tells it",
}
"""Where the kernel's answer depends on who asks: what root's `make test` runs as `nobody`, too. `make faults` runs all."""


@contextlib.contextmanager
def running(*arguments: str, output: IO[bytes] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """pytest as `nobody`, which writes to `output`; ended at last, and its folder removed."""
    folder = Path(tempfile.mkdtemp(prefix="engine-nobody-"))
    try:
        _fill(folder)
        ignored = [f"--ignore=tests/{name}" for name in OF_SOURCES]
        with subprocess.Popen(
            [str(folder / "bin" / "python"), "-m", "pytest", *ignored, *arguments],
            cwd=folder,
            env={**os.environ, "HOME": str(folder)},
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
        ) as process:
            try:
                yield process
            finally:
                end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt pytest if it still runs, so that it ends the daemons that it has started."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()


def _fill(folder: Path) -> None:
    """Compiled modules are copied with their sources, whose times they name: what must be compiled first takes seconds to start."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    base, library = Path(sys.base_prefix), folder / "lib" / name
    shutil.copytree(base / "lib" / name, library, ignore=shutil.ignore_patterns(*LEFT_OUT))
    packages = library / "site-packages"
    shutil.copytree(sysconfig.get_paths()["purelib"], packages, ignore=shutil.ignore_patterns(*DEVELOPERS))
    unfinished = shutil.ignore_patterns(UNFINISHED)
    for part in ("engine", "sandbox", "benchmarks"):
        shutil.copytree(ROOT / part, packages / part, ignore=unfinished)
    shutil.copytree(
        ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns(UNFINISHED, "node_modules")
    )
    shutil.copy(ROOT / "pyproject.toml", folder)
    _copy_interpreter(base, folder, name)
    # Its own, for what is written there: compiled tests, the examples of Hypothesis.
    subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(folder)], check=True)
    folder.chmod(0o755)


def _copy_interpreter(base: Path, folder: Path, name: str) -> None:
    """With the place of its shared library beside it, where it names one by an absolute path."""
    (folder / "bin").mkdir()
    for library in (base / "lib").glob("libpython*.so*"):
        shutil.copy(library, folder / "lib")
    program = (base / "bin" / name).read_bytes()
    old = f"{base}/lib\0".encode()
    new = b"$ORIGIN/../lib\0"
    if len(new) <= len(old):
        program = program.replace(old, new.ljust(len(old), b"\0"))
    copy = folder / "bin" / "python"
    copy.write_bytes(program)
    copy.chmod(0o755)


if __name__ == "__main__":
    with running(*sys.argv[1:]) as alone:
        sys.exit(alone.wait())
