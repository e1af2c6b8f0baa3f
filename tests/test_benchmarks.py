"""The harness of the benchmarks judges and measures as it says (no assertion here depends on speed)."""

from __future__ import annotations

import math

import pytest

from tests.benchmarks.harness import Aim, Memory, Timed, Workload, interleave, quantity, table


def test_aims_judge_both_ways() -> None:
    assert Aim(at_least=100).verdict(120) == "met" and Aim(at_least=100).verdict(99) == "missed"
    assert Aim(at_most=1.6).verdict(1.5) == "met" and Aim(at_most=1.6).verdict(math.nan) == "missed"
    assert Aim().verdict(3) == ""


def test_workloads_run_in_turn_after_a_warm_up() -> None:
    order: list[str] = []
    rows = interleave(Workload(lambda: order.append("a")), Workload(lambda: order.append("b")), rounds=3)
    assert order == list("ab" + "ab" + "ba" + "ab") and len(rows) == 3


def test_a_table_of_ratios() -> None:
    case = Timed("nothing", lambda: (Workload(lambda: None, 10), Workload(lambda: sum(range(20_000)))), Aim(at_least=0))
    result = case.measure()
    assert result.lowest <= result.ratio <= result.highest
    assert "nothing" in table([result]) and result.verdict == "met"


@pytest.mark.parametrize(("value", "text"), [(1.2e-4, "120 µs"), (3.0, "3 s"), (2.5e-9, "2.5 ns"), (0.0, "0 s")])
def test_quantities_have_prefixes(value: float, text: str) -> None:
    assert quantity(value, "s") == text


def test_memory_of_a_large_array_shows() -> None:
    result = Memory("array", "kept = bytearray(120_000_000)", "pass").measure()
    assert result.ours - result.baseline > 100_000_000
