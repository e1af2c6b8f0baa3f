"""Pages with explorers on a local server, made by each file's `pages()`, and visits to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deeplimits.explorer import script
from tests.site import browser as tools

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Explorers</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1">%s</head>
<body style="margin:16px;font:16px/1.5 sans-serif"><main><h1>Explorers</h1>%s</main></body></html>"""
ALIVE = '<script type="module" src="explorer.js"></script>'


@pytest.fixture(scope="module")
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `NAME.html` for each name and body that the test file's `pages()` gives; `NAME-still.html` has no script."""
    folder: Path = tmp_path_factory.mktemp("explorers")
    (folder / "explorer.js").write_text(script(), encoding="utf8")
    for name, body in request.module.pages().items():
        (folder / f"{name}.html").write_text(PAGE % (ALIVE, body), encoding="utf8")
        (folder / f"{name}-still.html").write_text(PAGE % ("", body), encoding="utf8")
    with tools.served(folder) as url:
        yield url


@pytest.fixture
def visit(chromium: Any, base: str) -> Iterator[tools.Visit]:
    """A page with the network closed; at its end the console must be clean."""
    with tools.Visit(chromium, base) as one:
        yield one
        assert one.troubles == []
