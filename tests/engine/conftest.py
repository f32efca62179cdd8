from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_core import ServedCore, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ServedCore]:
    with served(tmp_path / "e.sock") as running:
        yield running
