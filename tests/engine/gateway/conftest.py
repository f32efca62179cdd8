"""A daemon with HTTP, and a source of its own for each test."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from gateways import HttpDaemon, SentFrom, is_ready
from running import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpDaemon]:
    daemon = HttpDaemon(tmp_path_factory.mktemp("http"))
    daemon.start()
    wait_until(lambda: is_ready(daemon.http))
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture
def source(served: HttpDaemon) -> Iterator[SentFrom]:
    """A new source with its write key, known to the gateway."""
    with served.client() as client:
        yield SentFrom(served, client, f"source-{next(NUMBERS)}")
