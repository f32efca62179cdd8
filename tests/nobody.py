"""`python tests/nobody.py [PYTEST'S ARGUMENTS]`: the tests as `nobody`, for root; what that user needs is copied to a folder that it can read.

Of it is an interpreter, the packages, the project. Left out are developers' tools: the few tests that call one skip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
NOBODY = 65534
LEFT_OUT = (
    "site-packages",
    "test",
    "idlelib",
    "tkinter",
    "ensurepip",
    "lib2to3",
    "turtledemo",
    "config-*",
)
DEVELOPERS = ("ruff*", "grimp*", "pip", "pip-*", "setuptools*", "hatch*", "importlinter*")


def run(*arguments: str, timeout_s: float, workers: int = 0) -> subprocess.CompletedProcess[str]:
    """pytest as `nobody` on `workers` processes. Raises `subprocess.TimeoutExpired`.

    Compiled modules are copied with their sources, whose times they name: a daemon whose modules must be compiled first takes seconds to start.
    """
    folder = Path(tempfile.mkdtemp(prefix="engine-nobody-"))
    try:
        _fill(folder)
        return subprocess.run(
            [str(folder / "bin" / "python"), "-m", "pytest", "-q", "-n", str(workers), *arguments],
            cwd=folder,
            env={**os.environ, "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path) -> None:
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    base, library = Path(sys.base_prefix), folder / "lib" / name
    shutil.copytree(base / "lib" / name, library, ignore=shutil.ignore_patterns(*LEFT_OUT))
    packages = library / "site-packages"
    shutil.copytree(
        sysconfig.get_paths()["purelib"], packages, ignore=shutil.ignore_patterns(*DEVELOPERS, "*editable*")
    )
    for part in ("engine", "sandbox", "benchmarks"):
        shutil.copytree(ROOT / part, packages / part)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    _copy_interpreter(base, folder, name)
    # Its own, for what tests write where they are run: the examples of Hypothesis.
    folder.chmod(0o755)
    os.chown(folder, NOBODY, NOBODY)


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
    answer = run(*sys.argv[1:], timeout_s=1_200, workers=os.cpu_count() or 1)
    sys.stdout.write(answer.stdout)
    sys.exit(answer.returncode)
