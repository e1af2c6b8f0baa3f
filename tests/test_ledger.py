"""The ledger plugin: what it notes, what it keeps, and what it never claims."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

SOURCE = """
import pytest

@pytest.mark.statement("thm-one", "thm-two")
def test_holds():
    pass

@pytest.mark.statement("thm-two")
@pytest.mark.parametrize("case", ["a", "b"])
def test_cases(case):
    assert case == "a" or WORKS

@pytest.mark.statement("lem-away")
def test_skipped():
    pytest.skip("not here")

@pytest.mark.statement("lem-wrong")
@pytest.mark.xfail
def test_known_to_fail():
    assert False

@pytest.mark.statement("cor-broken")
def test_teardown(request):
    request.addfinalizer(lambda: 1 / 0)

def test_unlabelled():
    pass

WORKS = False
"""


def run(folder: Path, *arguments: str) -> dict[str, Any] | None:
    """Run pytest with the plugin in a folder of its own, and read the results file."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.ledger", f"--rootdir={folder}", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # a faster start
    environment.pop("PYTEST_XDIST_WORKER", None)
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120, check=False)
    path = folder / "_build" / "test-results.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def outcomes(results: dict[str, Any] | None) -> dict[tuple[str, str], tuple[str, int]]:
    assert results is not None
    return {
        (label, entry["test"].rpartition("::")[2]): (entry["outcome"], entry["cases"])
        for label, entries in results["statements"].items()
        for entry in entries
    }


EXPECTED = {
    ("thm-one", "test_holds"): ("passed", 1),
    ("thm-two", "test_holds"): ("passed", 1),
    ("thm-two", "test_cases"): ("failed", 2),
    ("lem-away", "test_skipped"): ("skipped", 1),
    ("lem-wrong", "test_known_to_fail"): ("xfailed", 1),
    ("cor-broken", "test_teardown"): ("failed", 1),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "test_it.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "2")], ids=["alone", "xdist"])
def test_outcomes_are_noted(folder: Path, workers: tuple[str, ...]) -> None:
    results = run(folder, *workers, "test_it.py")
    assert outcomes(results) == EXPECTED
    assert results is not None and results["date"] and "python" in results["versions"]


def test_a_partial_run_changes_only_what_it_ran(folder: Path) -> None:
    run(folder, "test_it.py")
    (folder / "test_it.py").write_text(SOURCE.replace("WORKS = False", "WORKS = True"), encoding="utf-8")
    # one case of two: the other is still known as failed
    assert outcomes(run(folder, "test_it.py::test_cases[a]")) == EXPECTED
    assert outcomes(run(folder, "-k", "test_cases", "test_it.py"))["thm-two", "test_cases"] == ("passed", 2)


def test_what_is_gone_is_dropped_and_what_breaks_fails(folder: Path) -> None:
    run(folder, "test_it.py")
    (folder / "test_it.py").write_text(SOURCE.replace("def test_holds", "def test_renamed"), encoding="utf-8")
    after = outcomes(run(folder, "-k", "test_skipped", "test_it.py"))
    assert ("thm-one", "test_holds") not in after and ("thm-one", "test_renamed") not in after
    assert after["thm-two", "test_cases"] == ("failed", 2)
    (folder / "test_it.py").write_text(SOURCE + "\nraise RuntimeError\n", encoding="utf-8")
    broken = outcomes(run(folder, "test_it.py"))
    assert {outcome for outcome, _ in broken.values()} == {"failed"}


def test_listing_the_tests_notes_nothing(folder: Path) -> None:
    assert run(folder, "--collect-only", "test_it.py") is None
