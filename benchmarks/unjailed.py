"""`python -m benchmarks.unjailed serve …`: a daemon whose workers have no jail, for `isolation_cost` alone.

The product has no switch for it. Here the daemon is made to start this module as its zygote, which empties the checklist of
`sandbox.jail` before it runs: no namespace, no empty root, no Landlock, no filter, no limit, and no proof.
"""

from __future__ import annotations

import sys
from typing import Final

ZYGOTE: Final = "zygote"


def _zygote() -> None:
    from sandbox import jail, probe, zygote  # noqa: PLC0415  the daemon has no use for it

    sys.argv.remove(ZYGOTE)
    # Descriptors are closed as ever: a pipe that two workers held would never end.
    jail.LAUNCHER = jail.ZYGOTE = jail.WORKER = ()  # type: ignore[misc,assignment]  # final but here
    probe.run = lambda room: [probe.Row("none", "holding", "nothing", "no jail", "")]  # noqa: ARG005  the name it is called with
    zygote.main()


def _daemon() -> None:
    from engine.__main__ import main  # noqa: PLC0415  the zygote has no use for it
    from engine.workers import zygote  # noqa: PLC0415  the zygote has no use for it

    zygote.PROGRAM = ("-I", "-m", "benchmarks.unjailed", ZYGOTE)  # type: ignore[misc,assignment]  # final but here
    main()


if __name__ == "__main__":
    if ZYGOTE in sys.argv:
        _zygote()
    else:
        _daemon()
