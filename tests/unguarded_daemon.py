"""`engine serve` whose workers run what is deployed without the language layer: plain compile and exec, in the full jail.

python tests/unguarded_daemon.py serve …        what code reaches once the language layer is broken, end to end
"""

from __future__ import annotations

import builtins
import marshal
import sys

MARK = "zygote"


def _zygote() -> None:
    sys.argv.remove(MARK)
    from sandbox import modules, zygote
    from sandbox.compiler import LibrariesNeeded
    from sandbox.worker import loading

    def compile_source(source: str, filename: str, *, finds_libraries: bool) -> bytes:
        if finds_libraries and "import pydash" in source and modules.is_elsewhere("pydash"):
            raise LibrariesNeeded({"pydash"})
        return marshal.dumps(compile(source, filename, "exec"))

    def execute(code: bytes, *, scope: dict[str, object]) -> dict[str, object]:
        names = {**scope, "__name__": "function", "__builtins__": builtins}
        exec(marshal.loads(code), names)
        return names

    loading.compile_source = compile_source  # type: ignore[attr-defined]
    loading.execute = execute  # type: ignore[attr-defined]
    zygote.main()


def _daemon() -> int:
    from engine.__main__ import main
    from engine.workers import zygote

    zygote.PROGRAM = ("-I", __file__, MARK)  # type: ignore[misc]
    return main()


if __name__ == "__main__":
    if MARK in sys.argv:
        _zygote()
    else:
        sys.exit(_daemon())
