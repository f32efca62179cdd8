"""Node's isolated-vm, in process: one isolate with the reference handler in JavaScript, called with each event as JSON, with a timeout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import reference_events
from benchmarks.peers.contestants import Missing

PROGRAM_JS = Path(__file__).with_name("isolated_vm.js")
MODULES = Path(sys.prefix) / "peers" / "node_modules"


def run(events: int) -> dict[str, float]:
    """Events a second."""
    if shutil.which("node") is None:
        raise Missing("there is no node: install Node.js 18 or newer")
    if not (MODULES / "isolated-vm").exists():
        raise Missing("isolated-vm is not installed: make peers")
    lines = "\n".join(json.dumps(event) for event in reference_events(events * 5))
    answer = subprocess.run(
        ["node", "--no-node-snapshot", str(PROGRAM_JS)],  # Node 20 and later need the flag, its guide says
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NODE_PATH": str(MODULES)},
    )
    if answer.returncode:
        raise Missing(f"isolated-vm doesn't run here: {answer.stderr.strip().splitlines()[-1:]}; make peers")
    return {"isolated_vm": float(answer.stdout)}
