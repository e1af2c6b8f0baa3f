"""One server and one browser for all site tests of a worker."""

from __future__ import annotations

from typing import Any, Callable, Iterator

import pytest

from tests.site import browser as tools


@pytest.fixture(scope="session")
def site_url() -> Iterator[str]:
    tools.need_site()
    with tools.served(tools.SITE) as url:
        yield url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    path = tools.executable()
    if path is None:
        tools.lacking("no Chromium on this machine (looked for " + ", ".join(tools.BROWSERS) + ")")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=tools.FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, site_url: str) -> Iterator[Callable[..., tools.Visit]]:
    """Open pages with the network closed; every context is closed at the end."""
    opened: list[tools.Visit] = []

    def new(**context: Any) -> tools.Visit:
        opened.append(tools.Visit(chromium, site_url, **context))
        return opened[-1]

    yield new
    for one in opened:
        one.context.close()


@pytest.fixture(scope="session")
def axe() -> str:
    return tools.axe_source()
