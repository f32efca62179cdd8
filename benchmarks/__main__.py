"""`python -m benchmarks`: the suite, and what was saved of it.

python -m benchmarks [NAME…] [--runs N] [--smoke] [--socket PATH] [--json] [--save NAME] [--html FILE]
python -m benchmarks compare BEFORE AFTER [--json]
python -m benchmarks page NAME FILE
python -m benchmarks list
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.suite import comparing, results, summary
from benchmarks.suite.page import page
from benchmarks.suite.program import Conditions
from benchmarks.suite.programs import NAMES, method, program
from benchmarks.suite.running import RunFailed, measure

if TYPE_CHECKING:
    from benchmarks.suite.figures import Figure

RUNS: Final = 5
"""As few as `compare` can tell from chance."""


def main(arguments: list[str]) -> int:
    """0; 1 if a program failed, after all others have run; 2 for arguments that make no sense."""
    verb = arguments[0] if arguments else ""
    if verb in COMMANDS:
        return COMMANDS[verb](arguments[1:])
    return _run(arguments)


def _run(arguments: list[str]) -> int:
    parser = _parser("run programs of the suite, each run in a fresh process")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; none means all")
    parser.add_argument("--runs", type=int, help=f"runs of each program ({RUNS}; with --smoke 1)")
    parser.add_argument("--smoke", action="store_true", help="only whether each works: small, and no figures")
    parser.add_argument("--socket", default="", help="measure the daemon that listens there")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--save", metavar="NAME", help="keep the result as .benchmarks/NAME.json, or a .json path"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots")
    asked = parser.parse_args(arguments)
    runs = asked.runs if asked.runs is not None else 1 if asked.smoke else RUNS
    if unknown := [name for name in asked.names if name not in NAMES]:
        parser.error(f"no program {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if runs < 1:
        parser.error("--runs is at least 1")
    names = [name for name in NAMES if not asked.names or name in asked.names]
    if asked.socket:
        names = _against_running(parser, names, is_asked=bool(asked.names))
    if asked.save:
        _checked(parser, asked.save)
    conditions = Conditions(is_smoke=asked.smoke, socket=asked.socket)
    figures, failed = _measure_all(names, runs, conditions, is_quiet=asked.json)
    made = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    options = {"runs": runs, "smoke": asked.smoke, "running_daemon": bool(asked.socket), "names": names}
    result = results.Result(made, results.machine(), options, tuple(figures))
    if asked.json:
        print(json.dumps(result.as_map()))
    if asked.save:
        print(f"saved as {results.save(result, asked.save)}", file=sys.stderr)
    if asked.html:
        asked.html.write_text(page(result, {name: method(name) for name in names}), "utf-8")
        print(f"a page in {asked.html}", file=sys.stderr)
    return 1 if failed else 0


def _against_running(parser: argparse.ArgumentParser, names: list[str], *, is_asked: bool) -> list[str]:
    able = [name for name in names if name == "floor" or program(name).may_use_running]
    if is_asked and (unable := [name for name in names if name not in able]):
        parser.error(f"{', '.join(unknown for unknown in unable)} can't measure a daemon that runs already")
    return able


def _checked(parser: argparse.ArgumentParser, name: str) -> None:
    """Before minutes are spent on it."""
    try:
        results.path_of(name)
    except ValueError as error:
        parser.error(str(error))


def _measure_all(
    names: list[str], runs: int, conditions: Conditions, *, is_quiet: bool
) -> tuple[list[Figure], list[str]]:
    """One that fails is told, and doesn't keep the others from running. Figures are measured one after the other."""
    figures: list[Figure] = []
    failed: list[str] = []

    def one(name: str) -> list[Figure] | RunFailed:
        try:
            return measure(name, runs, conditions, on_run=lambda at, count: _tell(name, at, count))
        except RunFailed as error:
            return error

    threads = ThreadPoolExecutor((os.cpu_count() or 1) if conditions.is_smoke else 1)
    try:
        for name, measured in zip(names, threads.map(one, names), strict=True):
            if isinstance(measured, RunFailed):
                failed.append(name)
                print(measured, file=sys.stderr, flush=True)
                continue
            figures += measured
            if not is_quiet:
                print(f"\n{name}" if len(names) > 1 else name)
                print("\n".join(summary.figure_lines(measured)), flush=True)
    finally:
        threads.shutdown(cancel_futures=True)  # whoever interrupts it doesn't want the others either
    if failed:
        print(f"\n{len(failed)} of {len(names)} programs failed: {', '.join(failed)}", file=sys.stderr)
    return figures, failed


def _tell(name: str, at: int, count: int) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{name}: run {at + 1} of {count}", end="\r", file=sys.stderr, flush=True)


def _compare(arguments: list[str]) -> int:
    parser = _parser("what changed between two saved results, beyond noise")
    parser.add_argument("before", help="name of a saved result, or the path of a .json file")
    parser.add_argument("after")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(arguments)
    try:
        before, after = results.load(asked.before), results.load(asked.after)
    except ValueError as error:
        parser.error(str(error))
    changes = comparing.compare(before.figures, after.figures)
    if asked.json:
        print(json.dumps({"changes": [asdict(change) for change in changes]}))
        return 0
    for name in sorted(before.machine.keys() & after.machine.keys() - {"commit", "busy"}):
        if before.machine[name] != after.machine[name]:
            print(f"the {name} is another: {before.machine[name]}, then {after.machine[name]}")
    if before.options.get("smoke") or after.options.get("smoke"):
        print("made with --smoke: the figures mean nothing")
    print("\n".join(summary.change_lines(changes, chance_max=comparing.CHANCE_MAX)))
    return 0


def _page(arguments: list[str]) -> int:
    parser = _parser("a saved result as one HTML file, with plots")
    parser.add_argument("name", help="of a saved result, or the path of a .json file")
    parser.add_argument("file", type=Path)
    asked = parser.parse_args(arguments)
    try:
        result = results.load(asked.name)
    except ValueError as error:
        parser.error(str(error))
    programs = dict.fromkeys(figure.program for figure in result.figures)
    methods = {name: method(name) for name in programs if name in NAMES}
    asked.file.write_text(page(result, methods), "utf-8")
    return 0


def _list(arguments: list[str]) -> int:
    _parser("the programs, and what each measures").parse_args(arguments)
    for name in NAMES:
        print(f"{name}: {method(name).splitlines()[0]}")
        print(f"    {', '.join(item.name for item in program(name).measures)}")
    return 0


COMMANDS: Final = {"compare": _compare, "page": _page, "list": _list}


def _parser(description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=description,
        epilog=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
