"""Data of one's own, and checks that say what was expected, what came, and where to read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from deeplimits import coursework as cw

SEE = "Layer maps"
NAN, INF = float("nan"), float("inf")


def message(check: Callable[..., None], *given: Any, **how: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        check(*given, what="answer", see=SEE, **how)
    text = str(caught.value)
    assert text.startswith("answer: ") or text.startswith("standard error of answer: ")
    assert text.endswith(" See Layer maps.")
    return text


# --- data ------------------------------------------------------------------------------------------


def draw(student: Any, question: str) -> torch.Tensor:
    return torch.randn(4, generator=cw.generator(student, question), dtype=torch.float64)


def test_the_same_student_gets_the_same_data() -> None:
    for spelling in ("123", "0123", " 123 ", np.int64(123)):
        assert draw(spelling, "q1").equal(draw(123, "q1"))
    assert draw("S12A", "q1").equal(draw(" s12a", "q1"))


def test_other_students_and_questions_get_other_data() -> None:
    assert not draw(1, "q1").equal(draw(2, "q1"))
    assert not draw(1, "q1").equal(draw(1, "q2"))
    assert not draw("s1", "2").equal(draw("s", "12"))


def test_data_does_not_depend_on_the_state_of_torch() -> None:
    torch.manual_seed(1)
    first = draw(5, "q1")
    torch.manual_seed(2)
    assert draw(5, "q1").equal(first)


def test_the_hash_is_the_same_on_every_machine() -> None:
    # the first 63 bits of sha256 of deeplimits, number, 0 and q, joined by null bytes, leave 629 when divided by 1001
    first = hashlib.sha256(b"deeplimits" + b"\x00" + b"number" + b"\x00" + b"0" + b"\x00" + b"q").hexdigest()[:16]
    assert (int(first, 16) // 2) % 1001 == 629
    assert cw.number(0, "q", 0, 1, digits=3) == 0.629


def test_numbers_cover_their_range_evenly() -> None:
    numbers = [cw.number(student, "q", 0.5, 0.9, digits=1) for student in range(2000)]
    values, counts = np.unique(numbers, return_counts=True)
    assert values.tolist() == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert (np.abs(counts - 400) < 4 * np.sqrt(2000 * 0.2 * 0.8)).all()


def test_options_are_equally_likely() -> None:
    picks = [cw.pick(student, "q", "abcd") for student in range(2000)]
    counts = np.array([picks.count(letter) for letter in "abcd"])
    assert (np.abs(counts - 500) < 4 * np.sqrt(2000 * 0.25 * 0.75)).all()


@pytest.mark.parametrize("student", [..., None, 1.5, True, -1, "", "  ", "-3"])
def test_what_is_no_student_number(student: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="student"):
        cw.generator(student, "q1")


@pytest.mark.parametrize(("call", "words"), [
    (lambda: cw.generator(1, ""), "question"),
    (lambda: cw.pick(1, "q", []), "options"),
    (lambda: cw.number(1, "q", 0.51, 0.59, digits=1), "between low = 0.51 and high = 0.59"),
    (lambda: cw.number(1, "q", 2, 1), "between"),
    (lambda: cw.number(1, "q", NAN, 1), "low"),
    (lambda: cw.number(1, "q", 0, 1, digits=-1), "digits"),
])
def test_arguments_that_make_no_sense(call: Callable[[], Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        call()


# --- expect_close ----------------------------------------------------------------------------------


@pytest.mark.parametrize("came", [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5), torch.tensor(0.5, requires_grad=True)])
def test_numbers_of_every_kind_are_accepted(came: Any) -> None:
    cw.expect_close(came, 0.5, what="answer", see=SEE)
    cw.expect_within(came, 0.5, 0.1, what="answer", see=SEE)


@pytest.mark.parametrize("came", [[1, 2.0], (1, 2), np.array([1, 2]), torch.tensor([1, 2]), [torch.tensor(1.0), np.int64(2)], range(1, 3)])
def test_sequences_of_every_kind_are_accepted(came: Any) -> None:
    cw.expect_close(came, torch.tensor([1.0, 2.0], dtype=torch.float64), what="answer", see=SEE)


@pytest.mark.parametrize(("came", "expected", "words"), [
    (..., 1.0, "not answered yet: the placeholder ... is still there"),
    ([1.0, ...], [1.0, 2.0], "not answered yet"),
    (None, 1.0, "expected an answer, came None"),
    ("0.5", 0.5, "expected a single number, came str 0.5"),
    (abs, 0.5, "came the function abs; did you mean to call it?"),
    (float, 0.5, "came the function float"),
    (SimpleNamespace(value=0.5), 0.5, "did you mean its .value?"),
    ({"a": 1}, 0.5, "came dict"),
    ([1.0, 2.0], 0.5, "expected a single number, came an array of shape (2,)"),
    (0.5, [0.5, 0.5], "expected an array of shape (2,), came a single number"),
    ([[1.0], [1.0, 2.0]], [1.0], "came list"),
    (NAN, 0.5, "expected a single number, came NaN"),
    ([NAN, 1.0, NAN], [1.0, 1.0, 1.0], "came NaN in 2 of 3 entries"),
    (INF, 0.5, "expected 0.5, came inf"),
    (1 + 1j, 0.5, "expected a real number, came complex"),
    (True, 0.5, "expected a single number, came True or False"),
    (1.0, True, "expected True or False, came numbers"),
    (False, True, "expected True, came False"),
    (0.25, 0.5, "expected 0.5, came 0.25, off by 0.25"),
    (0.50000123, 0.5, "expected 0.5, came 0.500001, off by 1.23e-06"),
    (0.50000000123, 0.5, "expected 0.5, came 0.500000001, off by 1.23e-09"),
    (torch.eye(2), torch.ones(2, 2), "expected 1 at index (0, 1), came 0, off by 1 (2 of 4 entries are off)"),
    ([1.0, 2.0, 9.0], [1.0, 2.0, 3.0], "expected 3 at index 2, came 9, off by 6 (1 of 3 entries are off)"),
])
def test_a_fault_has_its_sentence(came: Any, expected: Any, words: str) -> None:
    assert words in message(cw.expect_close, came, expected, rtol=1e-12)


def test_tolerances() -> None:
    cw.expect_close(1.0005, 1.0, what="answer", see=SEE, rtol=1e-3)
    cw.expect_close(1e-9, 0.0, what="answer", see=SEE, atol=1e-8)
    assert "off by 1e-09" in message(cw.expect_close, 1e-9, 0.0)
    cw.expect_close([INF, -INF], [INF, -INF], what="answer", see=SEE)
    assert "expected inf" in message(cw.expect_close, 1e300, INF)
    cw.expect_close(np.exp(1j), np.exp(1j), what="answer", see=SEE)


def test_faults_of_the_check_itself_are_not_the_students() -> None:
    with pytest.raises(ValueError, match="expected must not hold NaN"):
        cw.expect_close(1.0, NAN, what="answer", see=SEE)
    with pytest.raises(TypeError, match="expected must be made of numbers"):
        cw.expect_close(1.0, "one", what="answer", see=SEE)
    with pytest.raises(ValueError, match="rtol"):
        cw.expect_close(1.0, 1.0, what="answer", see=SEE, rtol=-1)
    with pytest.raises(ValueError, match="times"):
        cw.expect_within(1.0, 1.0, 0.1, what="answer", see=SEE, times=0)


# --- expect_within ---------------------------------------------------------------------------------


def test_an_estimate_within_its_error() -> None:
    cw.expect_within([0.52, 1.0], [0.5, 1.0], 0.01, what="answer", see=SEE)
    text = message(cw.expect_within, [0.5, 1.3], [0.5, 1.0], [0.01, 0.02])
    assert "expected 1 within 4 standard errors of 0.02 at index 1, came 1.3, off by 0.3 (1 of 2 entries are off), which is 15 standard errors" in text
    cw.expect_within(0.6, 0.5, 0.01, what="answer", see=SEE, times=10.1)


@pytest.mark.parametrize(("se", "words"), [
    (..., "not answered yet"), (None, "came None"), (NAN, "expected a positive number, came nan"), (0.0, "expected a positive number"),
    (-1.0, "expected a positive number, came -1"), ("small", "came str small"), ([0.1, 0.1], "came list"), (INF, "came inf"),
])
def test_a_standard_error_that_is_none(se: Any, words: str) -> None:
    text = message(cw.expect_within, 0.5, 0.5, se)
    assert text.startswith("standard error of answer") and words in text


# --- expect ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [True, np.True_, torch.tensor(True), torch.tensor([True, True]), [True, True], lambda: True])
def test_a_condition_that_holds(condition: Any) -> None:
    cw.expect(condition, what="answer", came=1, see=SEE)


@pytest.mark.parametrize(("condition", "came", "words"), [
    (False, 3, "expected to hold, came 3"),
    (torch.tensor([True, False]), torch.tensor(0.25), "came 0.25"),
    (..., 3, "not answered yet"),
    (True, ..., "not answered yet"),
    (True, None, "came None"),
    (None, 3, "came None"),
    (1, 3, "expected True or False, came int 1"),
    (lambda: 1 / 0, 3, "came ZeroDivisionError: division by zero"),
    (lambda: ... > 1, 3, "came TypeError"),
    (lambda: 1 > 2, "a long story " * 40, "..."),
])
def test_a_condition_that_does_not(condition: Any, came: Any, words: str) -> None:
    assert words in message(cw.expect, condition, came=came)
