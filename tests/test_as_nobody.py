"""Root's tests of the jail, again as `nobody`: what that user needs is copied to a folder that it can read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    "__pycache__",
)
DEVELOPERS = (
    "mypy*",
    "*mypyc*",
    "ruff*",
    "grimp*",
    "pip",
    "pip-*",
    "setuptools*",
    "hatch*",
    "importlinter*",
    "__pycache__",
)
CHOSEN = (
    "holds_on_this_host or live_worker or attack_ends or honest or told_no or namespaces_are_required"
    " or prints_every_layer or quarantines"
)
"""A zygote or daemon each costs half a second of a processor: what depends on the user, not every case again."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """An interpreter, its packages and the project; everybody may read it."""
    path = Path(tempfile.mkdtemp(prefix="engine-nobody-"))
    try:
        path.chmod(0o755)
        name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        base, library = Path(sys.base_prefix), path / "lib" / name
        shutil.copytree(base / "lib" / name, library, ignore=shutil.ignore_patterns(*LEFT_OUT))
        packages = library / "site-packages"
        shutil.copytree(
            sysconfig.get_paths()["purelib"],
            packages,
            ignore=shutil.ignore_patterns(*DEVELOPERS, "*editable*"),
        )
        for part in ("engine", "sandbox", "benchmarks"):
            shutil.copytree(ROOT / part, packages / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "tests", path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", path)
        _copy_interpreter(base, path, name)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _copy_interpreter(base: Path, path: Path, name: str) -> None:
    """With the place of its shared library beside it, where it names one by an absolute path."""
    (path / "bin").mkdir()
    for library in (base / "lib").glob("libpython*.so*"):
        shutil.copy(library, path / "lib")
    program = (base / "bin" / name).read_bytes()
    old = f"{base}/lib\0".encode()
    new = b"$ORIGIN/../lib\0"
    if len(new) <= len(old):
        program = program.replace(old, new.ljust(len(old), b"\0"))
    copy = path / "bin" / "python"
    copy.write_bytes(program)
    copy.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="this is an ordinary user already")
@pytest.mark.timeout(280)
def test_the_jail_holds_for_nobody_too(folder: Path) -> None:
    answer = subprocess.run(
        [
            str(folder / "bin" / "python"),
            "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", "-k", CHOSEN,
            "tests/sandbox/test_jail.py", "tests/engine/cli/test_doctor.py", "tests/system/test_quarantine.py",
        ],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=270,
        check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout[-4000:] + answer.stderr[-2000:]
