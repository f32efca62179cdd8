"""`engine serve`, but for its zygote: that forks workers which can be told to attack their supervisor."""

from pathlib import Path

from engine.__main__ import main
from engine.workers import zygote

if __name__ == "__main__":
    zygote.PROGRAM = ("-I", str(Path(__file__).with_name("captured_zygote.py")))  # type: ignore[misc]
    main()
