"""A pytest plugin that notes which labelled statements the tests have checked.

A test says ``@pytest.mark.statement("thm-...")``; after the run its outcome stands in
``_build/test-results.json``, from which the ledger page of the book is made::

    {"statements": {"thm-x": [{"test": "tests/test_x.py::test_y", "outcome": "passed", "cases": 3}]},
     "tests": {"tests/test_x.py::test_y[a]": {"outcome": "passed", "statements": ["thm-x"], "date": "..."}},
     "date": "...", "versions": {"python": "...", "torch": "...", ...}}

A run rewrites only the entries of tests it ran; an entry whose test no longer exists, or no longer
names the statement, is dropped.  A statement passes a test only if every case of that test passed.
Works the same under pytest-xdist: labels travel with the reports, the controller writes.
"""

from __future__ import annotations

import ast
import datetime
import importlib.metadata
import json
import os
import platform
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

RESULTS = Path("_build") / "test-results.json"
_LABEL = "statement"
_WORST_FIRST = ("failed", "xfailed", "skipped", "passed")
_VERSIONS_OF = ("deeplimits", "torch", "numpy", "scipy", "xarray", "pytest")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: a long statistical test; `make test-all` runs it")
    config.addinivalue_line("markers", "browser: needs the built site and a Chromium")
    config.addinivalue_line("markers", "statement(label, ...): checks these labelled statements of the book")
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.pluginmanager.register(Ledger(config.rootpath), "deeplimits-ledger")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("statement"):
            if not mark.args or not all(isinstance(label, str) for label in mark.args):
                raise pytest.UsageError(f"{item.nodeid}: statement(...) needs labels such as 'thm-birkhoff'")
            item.user_properties.extend((_LABEL, label) for label in mark.args)


class Ledger:
    """Collects outcomes while the tests run and merges them into the results file at the end."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.outcomes: dict[str, str] = {}
        self.labels: dict[str, list[str]] = {}
        self.broken: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        labels = [value for name, value in report.user_properties if name == _LABEL]
        if labels:
            self.labels[report.nodeid] = sorted(set(labels))
            self.outcomes[report.nodeid] = _worse(self.outcomes.get(report.nodeid), _outcome(report))

    def pytest_sessionfinish(self) -> None:
        if self.outcomes or self.broken:
            path = self.root / RESULTS
            write(path, merge(read(path), self.entries(), self.broken, self.root))

    def entries(self) -> dict[str, dict[str, Any]]:
        # A test that was set up but never called (an interrupt) has seen no pass.
        return {
            test: {"outcome": outcome, "statements": self.labels[test], "date": _now()}
            for test, outcome in self.outcomes.items()
            if outcome != "started"
        }


def _outcome(report: pytest.TestReport) -> str:
    if report.failed:
        return "failed"
    if hasattr(report, "wasxfail"):
        return "xfailed"
    if report.skipped:
        return "skipped"
    return "passed" if report.when == "call" else "started"


def _worse(first: str | None, second: str) -> str:
    known = [outcome for outcome in (first, second) if outcome and outcome != "started"]
    return min(known, key=_WORST_FIRST.index) if known else "started"


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The entries of an earlier results file; none if there is no readable one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["tests"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def merge(
    old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]], broken: list[str], root: Path
) -> dict[str, Any]:
    """The results file after a run: new entries replace old ones, stale ones go, broken files fail."""
    existing = {test: entry for test, entry in old.items() if test not in new and _still_there(test, entry, root)}
    for test, entry in existing.items():
        if any(test.startswith(node) for node in broken if node):
            entry.update(outcome="failed", date=_now())
    tests = dict(sorted({**existing, **new}.items()))
    return {"statements": _by_statement(tests), "tests": tests, "date": _now(), "versions": _versions()}


def _by_statement(tests: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    cases: dict[tuple[str, str], list[str]] = defaultdict(list)
    for test, entry in tests.items():
        for label in entry["statements"]:
            cases[label, test.partition("[")[0]].append(entry["outcome"])
    statements: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (label, test), outcomes in sorted(cases.items()):
        worst = min(outcomes, key=_WORST_FIRST.index)
        statements[label].append({"test": test, "outcome": worst, "cases": len(outcomes)})
    return dict(statements)


def _still_there(test: str, entry: dict[str, Any], root: Path) -> bool:
    """Whether the source still holds the test and still names its statements."""
    file, _, rest = test.partition("[")[0].partition("::")
    try:
        source = (root / file).read_text(encoding="utf-8")
        functions = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
    except (OSError, SyntaxError):
        return (root / file).exists()
    return rest.split("::")[-1] in functions and all(label in source for label in entry["statements"])


def write(path: Path, results: dict[str, Any]) -> None:
    """Write the file in one step, so that a reader never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(results, stream, indent=1)
        stream.write("\n")
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _VERSIONS_OF:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
