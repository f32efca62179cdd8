"""A result: the figures of one call, of which machine and code, as a file; `--save` and `compare`."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.suite.figures import Figure

FOLDER: Final = Path(".benchmarks")
"""Where the call is made: results belong to the checkout that they are of. Git ignores it."""
FORM: Final = 1
"""Of the file; another one isn't read."""


@dataclass(frozen=True, slots=True)
class Result:
    """Figures, and of what."""

    made: str
    """ISO 8601, UTC."""
    machine: dict[str, str]
    options: dict[str, Any]
    figures: tuple[Figure, ...]

    def as_map(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "form": FORM,
            "made": self.made,
            "machine": self.machine,
            "options": self.options,
            "figures": [figure.as_map() for figure in self.figures],
        }

    @classmethod
    def of_map(cls, shown: dict[str, Any]) -> Self:
        """Raises `ValueError` for what is no result."""
        if shown.get("form") != FORM:
            raise ValueError("it was saved by another version of the suite, or is no result")
        try:
            figures = tuple(Figure.of_map(figure) for figure in shown["figures"])
            return cls(shown["made"], shown["machine"], shown["options"], figures)
        except (KeyError, TypeError) as error:
            raise ValueError(f"it is no result: {error}") from None


def path_of(name: str) -> Path:
    """Where a result of this name is: a file that is named by its path, or one in `.benchmarks`.

    Raises `ValueError` for a name that is neither.
    """
    if name.endswith(".json"):
        return Path(name)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ValueError(
            f"{name!r} is no name: letters, digits, '.', '_' and '-', or the path of a .json file"
        )
    return FOLDER / f"{name}.json"


def save(result: Result, name: str) -> Path:
    """Write it, whole or not at all; the path. Raises `ValueError` for a bad name, `OSError`."""
    path = path_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps(result.as_map(), indent=1) + "\n", "utf-8")
    beside.replace(path)
    return path


def load(name: str) -> Result:
    """Raises `ValueError`, naming the file, if it isn't there or is no result."""
    path = path_of(name)
    try:
        shown = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}; `--save {name}` would make it") from None
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    try:
        return Result.of_map(shown)
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: {error}") from None


def machine() -> dict[str, str]:
    """What the figures depend on: they don't compare with those of another machine."""
    model = ""
    with contextlib.suppress(OSError):
        found = re.search(r"(?m)^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text("utf-8"))
        model = found[1] if found else ""
    return {
        "processor": model or platform.machine(),
        "processors": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "commit": _commit(),
        "busy": f"{os.getloadavg()[0]:.1f}",
        "user": "root" if os.geteuid() == 0 else "ordinary",
    }


def _commit() -> str:
    """Of this checkout, with `+` if something isn't committed; empty outside one."""
    here = Path(__file__).parent
    described = ("git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12")
    with contextlib.suppress(OSError):
        answer = subprocess.run(described, capture_output=True, text=True, check=False)
        return answer.stdout.strip()
    return ""
