"""What all tests share: quiet plots, Hypothesis settings, and the ledger of checked statements."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("MPLBACKEND", "Agg")

# The same examples on every machine; `HYPOTHESIS_PROFILE=thorough` looks further.
_COMMON = {
    "derandomize": True,
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("quick", max_examples=30, **_COMMON)
settings.register_profile("thorough", max_examples=400, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.ledger")


@pytest.fixture(autouse=True)
def _same_defaults() -> Iterator[None]:
    """A test that changes torch's default dtype or gradient mode must put it back."""
    import torch

    before = torch.get_default_dtype(), torch.is_grad_enabled()
    yield
    after = torch.get_default_dtype(), torch.is_grad_enabled()
    torch.set_default_dtype(before[0])
    torch.set_grad_enabled(before[1])
    assert after == before, f"the test left torch's defaults changed: {before} -> {after}"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """One headless browser for all tests of a worker."""
    from playwright.sync_api import sync_playwright

    from tests.site import browser as tools

    path = tools.executable()
    if path is None:
        tools.lacking("no Chromium on this machine (looked for " + ", ".join(tools.BROWSERS) + ")")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=tools.FLAGS)
        yield browser
        browser.close()
