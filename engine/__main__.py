"""`engine`, and `python -m engine`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; no traceback of ours reaches a user."""
    if not sys.platform.startswith("linux"):
        sys.exit("engine runs on Linux only: its jail is made of Linux namespaces, limits and pidfds")
    from engine.cli.main import run  # noqa: PLC0415  after the check, and so that `--help` stays fast

    sys.exit(run())


if __name__ == "__main__":
    main()
