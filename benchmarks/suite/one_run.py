"""`python -m benchmarks.suite.one_run NAME [--smoke] [--socket PATH]`: one run of one program, as a line of JSON."""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks.suite.figures import run_of
from benchmarks.suite.program import Conditions
from benchmarks.suite.programs import NAMES, program


def main() -> int:
    """Run it; whatever it raises ends the process with a traceback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--socket", default="")
    arguments = parser.parse_args()
    conditions = Conditions(is_smoke=arguments.smoke, socket=arguments.socket)
    run = run_of(program(arguments.name).run(conditions))
    print(json.dumps({"values": run.values, "skipped": run.skipped, "histograms": run.histograms}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
