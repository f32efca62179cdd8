"""The control API held against its description, for long: python tests/faults/description.py --examples 100 --seed 1

The seed is printed, and makes the same requests. Exit status 1 if an answer isn't as it is described.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from described import survey
from gateways import HttpDaemon


def main() -> None:
    """Ask, and say how much was asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        daemon = HttpDaemon(Path(folder))
        daemon.start()
        try:
            with daemon.client() as client:
                token = client.tokens.create("survey", ["owner"])["token"]
                client.deploy("orders", "def on_track(event, settings):\n    return 1\n")
                client.sources.create("web")
            done = survey(f"{daemon.url}/api/v1", token, examples=options.examples, number=options.seed)
        finally:
            daemon.stop()
    print(f"{done.requests} requests of {len(done.statuses)} operations in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
