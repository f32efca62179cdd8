"""`python -m benchmarks.peers.one MODULE EVENTS`: run one contestant; its figures, or what it lacks, as a line of JSON."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from benchmarks.peers.contestants import Missing


def main() -> int:
    """Whatever else it raises ends the process with a traceback."""
    module, events = sys.argv[1:]
    shown: dict[str, Any]
    try:
        shown = {"values": importlib.import_module(f"benchmarks.peers.{module}").run(int(events))}
    except Missing as error:
        shown = {"missing": str(error)}
    except ModuleNotFoundError as error:
        shown = {"missing": f"{error.name} is not installed: make peers"}
    print(json.dumps(shown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
