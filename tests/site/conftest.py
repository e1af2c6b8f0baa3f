"""One server for all site tests of a worker, and pages under observation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.site import browser as tools


@pytest.fixture(scope="session")
def site_url() -> Iterator[str]:
    tools.need_site()
    with tools.served(tools.SITE) as url:
        yield url


@pytest.fixture
def visit(chromium: Any, site_url: str) -> Iterator[Callable[..., tools.Visit]]:
    """Open pages with the network closed; every page is closed at the end."""
    opened: list[tools.Visit] = []

    def new(**options: Any) -> tools.Visit:
        opened.append(tools.Visit(chromium, site_url, **options))
        return opened[-1]

    yield new
    for one in opened:
        one.close()


@pytest.fixture(scope="session")
def axe() -> str:
    return tools.axe_source()
