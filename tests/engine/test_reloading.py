from __future__ import annotations

from dataclasses import replace

from engine.config import Config
from engine.reloading import Running


def test_a_reload_that_is_asked_for_during_the_start_follows_it() -> None:
    reads: list[int] = []
    applied: list[Config] = []
    config = Config()

    def read() -> Config:
        reads.append(1)
        return replace(config, frame_ms=config.frame_ms + 1)

    running = Running(config, read)
    running.reload()
    assert not reads
    running.started(applied.append)
    assert [each.frame_ms for each in applied] == [config.frame_ms, config.frame_ms + 1]
    running.reload()
    assert len(applied) == 3
