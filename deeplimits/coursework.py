r"""Problem sets: data of one's own for every student, and checks whose messages help.

A notebook of the coursework begins with ``student = 0   # your student number``. From that number and the name of a question
:func:`generator`, :func:`pick` and :func:`number` make random numbers, a choice or a parameter that belong to this student alone and
are the same on every machine. The checks :func:`expect`, :func:`expect_close` and :func:`expect_within` raise an ``AssertionError`` that says what was expected,
what came, and where to read about it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from deeplimits import _checks

__all__ = ["expect", "expect_close", "expect_within", "generator", "number", "pick"]

Option = TypeVar("Option")


# --- data of one's own -----------------------------------------------------------------------------


def _key(student: int | str) -> str:
    """One spelling per student: ``7``, ``"7"`` and ``"007"`` are the same person, and so are ``"s12a"`` and ``" S12A"``."""
    if student is ...:
        raise TypeError('student is still the placeholder ...; put in your student number, such as student = 1234567 or student = "s12a"')
    if isinstance(student, bool) or not isinstance(student, (int, str, np.integer)):
        raise TypeError(f"student must be a whole number or a text; got {student!r}")
    key = str(student).strip().casefold()
    if not key or key.startswith("-"):
        raise ValueError(f'student must be a student number, such as 1234567 or "s12a"; got {student!r}')
    return (key.lstrip("0") or "0") if key.isdecimal() else key


def _hash(kind: str, student: int | str, question: str) -> int:
    """A whole number from 0 to 2^63 - 1, the same on every machine and with every version of numpy and torch."""
    if not isinstance(question, str) or not question.strip():
        raise TypeError(f'question must be the name of a question, such as "q1"; got {question!r}')
    text = "\0".join(("deeplimits", kind, _key(student), question.strip()))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(student: int | str, question: str) -> torch.Generator:
    r"""A random generator that belongs to one student and one question.

    Args:
        student: the student number; 0 is the sample student. Leading zeros and spaces do not count.
        question: the name of the question; data that shall be independent need names of their own (``"q1 x"``, ``"q1 y"``).

    Returns:
        A generator of the CPU, seeded by a hash of both; each call gives a fresh one at its beginning.

    Raises:
        TypeError: ``student`` is neither a whole number nor a text.
        ValueError: ``student`` is empty or negative.

    Example:
        >>> torch.randn(3, generator=generator(0, "q1"), device="cpu").equal(torch.randn(3, generator=generator("000", "q1"), device="cpu"))
        True
        >>> torch.randn(3, generator=generator(0, "q1"), device="cpu").equal(torch.randn(3, generator=generator(1, "q1"), device="cpu"))
        False
    """
    return torch.Generator(device="cpu").manual_seed(_hash("generator", student, question))


def pick(student: int | str, question: str, options: Sequence[Option]) -> Option:
    r"""One of several options, chosen by the student number.

    Args:
        student: the student number.
        question: the name of the question.
        options: what to choose from, with equal chances.

    Returns:
        One of the options; the same at every call.

    Raises:
        ValueError: there is no option.

    Example:
        >>> [pick(student, "q2", ["relu", "tanh", "erf"]) for student in range(6)]
        ['tanh', 'relu', 'erf', 'relu', 'tanh', 'relu']
    """
    options = list(options)
    if not options:
        raise ValueError("options must hold at least one option; got none")
    return options[_hash("pick", student, question) % len(options)]


def number(student: int | str, question: str, low: float, high: float, digits: int = 2) -> float:
    r"""A number between two bounds with few decimals, chosen by the student number.

    Args:
        student: the student number.
        question: the name of the question; two numbers of one question need two names (``"q3 width"``, ``"q3 depth"``).
        low: the smallest number allowed.
        high: the largest number allowed.
        digits: how many decimals it has; all numbers with so many decimals, from ``low`` to ``high``, are equally likely.

    Returns:
        A float; the same at every call.

    Raises:
        ValueError: no number with so few decimals lies between the bounds.

    Example:
        >>> number(0, "q3", 0.5, 0.9), number(1, "q3", 0.5, 0.9)
        (0.59, 0.74)
        >>> int(number(0, "q3 width", 20, 60, digits=0))
        43
    """
    scale = 10 ** _checks.integer("digits", digits, minimum=0)
    first, last = math.ceil(_checks.number("low", low) * scale - 1e-9), math.floor(_checks.number("high", high) * scale + 1e-9)
    if first > last:
        raise ValueError(f"between low = {low!r} and high = {high!r} lies no number with {digits} decimals")
    return (first + _hash("number", student, question) % (last - first + 1)) / scale


# --- what is said ----------------------------------------------------------------------------------


def _fail(what: str, fault: str, see: str) -> None:
    raise AssertionError(f"{what}: {fault}{'' if fault.endswith('?') else '.'} See {see}{'' if see.endswith(('.', '?')) else '.'}")


def _plain(value: float, digits: int) -> str:
    return str(value) if isinstance(value, (bool, np.bool_)) else f"{value:.{digits}g}"


def _apart(expected: float, came: float) -> tuple[str, str]:
    """Both numbers, with as many digits as it takes to tell them apart."""
    for digits in range(6, 18):
        texts = _plain(expected, digits), _plain(came, digits)
        if texts[0] != texts[1]:
            break
    return texts


def _shape(shape: tuple[int, ...]) -> str:
    return f"an array of shape {shape}" if shape else "a single number"


def _short(value: Any) -> str:
    """What came, in at most about a line."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, (np.ndarray, np.generic)) and value.ndim == 0:
        value = value.item()
    text = " ".join((f"{value:.6g}" if isinstance(value, float) else str(value) if isinstance(value, str) else repr(value)).split())
    return text if len(text) <= 200 else text[:197] + "..."


def _unanswered(value: Any) -> str | None:
    """The sentence on an answer that is none, or None."""
    if value is ...:
        return "not answered yet: the placeholder ... is still there"
    if value is None:
        return "expected an answer, came None: is the name defined, and does your function return its result?"
    return None


def _wrong_type(value: Any, wanted: str) -> str:
    came = f"expected {wanted}, came {type(value).__name__} {_short(value)}"
    if isinstance(value, type) or (callable(value) and not hasattr(value, "__array__")):
        return f"expected {wanted}, came the function {getattr(value, '__name__', type(value).__name__)}; did you mean to call it?"
    return f"{came}; did you mean its .value?" if hasattr(value, "value") else came


def _array(value: Any) -> np.ndarray:
    """Anything made of numbers as an array of float64, complex128 or bool; TypeError where it is not."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().resolve_conj().resolve_neg()
        value = (value if value.dtype == torch.bool else value.to(torch.complex128 if value.is_complex() else torch.float64)).numpy()
    elif isinstance(value, (list, tuple, range)):
        parts = [_array(part) for part in value]
        if len({part.shape for part in parts}) > 1:
            raise TypeError("rows of different lengths")
        value = np.stack(parts) if parts else np.zeros(0)
    elif isinstance(value, (str, bytes, Mapping, set, frozenset)):
        raise TypeError("not a number")
    array = np.asarray(value)
    if array.dtype.kind not in "buifc":
        raise TypeError("not a number")
    return array if array.dtype.kind in "bc" else array.astype(np.float64)


def _has_placeholder(value: Any) -> bool:
    return value is ... or (isinstance(value, (list, tuple)) and any(map(_has_placeholder, value)))


def _read(came: Any, shape: tuple[int, ...], kind: str, *, what: str, see: str) -> np.ndarray:
    """The answer as an array of that shape and kind (b true or false, f real, c complex), without NaN."""
    wanted = ("True or False" if not shape else f"an array of True and False of shape {shape}") if kind == "b" else _shape(shape)
    if fault := _unanswered(... if _has_placeholder(came) else came):
        _fail(what, fault, see)
    try:
        array = _array(came)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        _fail(what, _wrong_type(came, wanted), see)
    if array.shape != shape:
        _fail(what, f"expected {wanted}, came {_shape(array.shape)}", see)
    if (array.dtype.kind == "b") != (kind == "b"):
        _fail(what, f"expected {wanted}, came {'True or False' if array.dtype.kind == 'b' else 'numbers'} ({_short(came)})", see)
    if array.dtype.kind == "c" and kind != "c":
        _fail(what, f"expected {'real numbers' if shape else 'a real number'}, came complex ({_short(came)})", see)
    if bad := int(np.isnan(array).sum()):
        _fail(what, f"expected {wanted}, came NaN" + (f" in {bad} of {array.size} entries" if shape else ""), see)
    return array


def _reference(expected: Any) -> np.ndarray:
    try:
        array = _array(expected)
    except (TypeError, ValueError) as error:
        raise TypeError(f"expected must be made of numbers; got {expected!r}") from error
    if np.isnan(array).any():
        raise ValueError(f"expected must not hold NaN; got {expected!r}")
    return array


def _differences(came: np.ndarray, expected: np.ndarray) -> np.ndarray:
    if came.dtype.kind == "b":
        return (came != expected).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(came == expected, 0.0, np.abs(came - expected))


def _worst(came: np.ndarray, expected: np.ndarray, off: np.ndarray, excess: np.ndarray, band: str = "") -> str:
    """The sentence on the entry that is worst, which is the one with the largest excess."""
    at = np.unravel_index(int(np.argmax(excess)), excess.shape)
    texts = _apart(expected[at], came[at])
    place = f" at index {tuple(map(int, at)) if len(at) > 1 else int(at[0])}" if at else ""
    many = f" ({int((excess > 0).sum())} of {excess.size} entries are off)" if at else ""
    distance = "" if came.dtype.kind == "b" else f", off by {off[at]:.3g}"
    return f"expected {texts[0]}{band}{place}, came {texts[1]}{distance}{many}"


# --- checks ----------------------------------------------------------------------------------------


def expect(condition: bool | Callable[[], bool], *, what: str, came: Any, see: str) -> None:
    r"""Raises unless a condition holds.

    Args:
        condition: True or False; an array of them must be true everywhere. A function without arguments is called, and an error in it is
            reported as the student's: this is how to check something that a missing answer would break.
        what: what should hold, a noun ("symmetry of your metric") or a sentence.
        came: what came instead, to be shown: any value or a text.
        see: where in the book to read about it.

    Raises:
        AssertionError: the condition does not hold, with the message "what: expected to hold, came .... See ....".

    Example:
        >>> expect(2 + 2 == 4, what="arithmetic", came=4, see="Layer maps, first section")
        >>> expect(0.3 > 0.5, what="contraction", came="a ratio of 0.3", see="Layer maps, first section")
        Traceback (most recent call last):
        ...
        AssertionError: contraction: expected to hold, came a ratio of 0.3. See Layer maps, first section.
    """
    if isinstance(came, (type(...), type(None))):
        _fail(what, _unanswered(came) or "", see)
    if callable(condition) and not isinstance(condition, torch.Tensor):
        try:
            condition = condition()
        except Exception as error:
            _fail(what, f"expected to hold, came {type(error).__name__}: {_short(str(error))}", see)
    if fault := _unanswered(condition):
        _fail(what, fault, see)
    try:
        holds = _array(condition)
    except (TypeError, ValueError, RuntimeError):
        holds = np.zeros(1)
    if holds.dtype.kind != "b":
        _fail(what, f"expected True or False, came {type(condition).__name__} {_short(condition)}", see)
    if not holds.all():
        _fail(what, f"expected to hold, came {_short(came)}", see)


def expect_close(came: Any, expected: Any, *, what: str, see: str, rtol: float = 1e-6, atol: float = 0.0) -> None:
    r"""Raises unless an answer equals the expected one up to rounding, :math:`|c - e| \le \mathrm{atol} + \mathrm{rtol}\,|e|`.

    Numbers, numpy arrays, torch tensors and nested lists are compared entry by entry; shapes must agree. Where True or False is expected, True or False must come.
    The placeholder ``...``, ``None``, something that is no number, a wrong shape and NaN are each named in a sentence.

    Args:
        came: the student's answer.
        expected: the right one.
        what: its name, such as "contraction coefficient".
        see: where in the book to read about it.
        rtol: relative tolerance.
        atol: absolute tolerance; needed where zero is expected.

    Raises:
        AssertionError: the answer is missing, of another kind, or too far off.
        TypeError: ``expected`` is not made of numbers.
        ValueError: ``expected`` holds NaN, or a tolerance is negative.

    Example:
        >>> expect_close(torch.tensor(0.5, device="cpu"), 1 / 2, what="the slope", see="Layer maps, Lipschitz constants")
        >>> expect_close(0.25, 0.5, what="the slope", see="Layer maps, Lipschitz constants")
        Traceback (most recent call last):
        ...
        AssertionError: the slope: expected 0.5, came 0.25, off by 0.25. See Layer maps, Lipschitz constants.
        >>> expect_close(..., 0.5, what="the slope", see="Layer maps, Lipschitz constants")
        Traceback (most recent call last):
        ...
        AssertionError: the slope: not answered yet: the placeholder ... is still there. See Layer maps, Lipschitz constants.
    """
    reference = _reference(expected)
    answer = _read(came, reference.shape, reference.dtype.kind, what=what, see=see)
    allowed = _checks.nonnegative("atol", atol) + _checks.nonnegative("rtol", rtol) * np.where(np.isfinite(reference), np.abs(reference), 0.0)
    off = _differences(answer, reference)
    if (off > allowed).any():
        _fail(what, _worst(answer, reference, off, off - allowed), see)


def expect_within(came: Any, expected: Any, se: Any, *, what: str, see: str, times: float = 4) -> None:
    r"""Raises unless an estimate lies within a few standard errors of the expected value.

    Args:
        came: the student's estimate: a number, or an array, tensor or nested list of the shape of ``expected``.
        expected: the right value.
        se: the standard error of the difference: a number, or one for each entry. Where the student measured it, check its size too:
            a huge one excuses everything.
        what: the name of the estimate.
        see: where in the book to read about it.
        times: how many standard errors are allowed; 4 refuses one right answer in 16000.

    Raises:
        AssertionError: the estimate or its standard error is missing, of another kind, or the estimate too far off.
        TypeError: ``expected`` is not made of numbers.
        ValueError: ``times`` is not positive, or ``expected`` holds NaN.

    Example:
        >>> expect_within(0.52, 0.5, 0.01, what="the drift", see="Subadditivity and drift")
        >>> expect_within(0.6, 0.5, 0.01, what="the drift", see="Subadditivity and drift")
        Traceback (most recent call last):
        ...
        AssertionError: the drift: expected 0.5 within 4 standard errors of 0.01, came 0.6, off by 0.1, which is 10 standard errors.
        See Subadditivity and drift.
    """
    reference = _reference(expected)
    answer = _read(came, reference.shape, "f", what=what, see=see)
    if fault := _unanswered(... if _has_placeholder(se) else se):
        _fail(f"standard error of {what}", fault, see)
    try:
        errors = np.broadcast_to(_array(se), reference.shape)
    except (TypeError, ValueError, RuntimeError):
        _fail(f"standard error of {what}", _wrong_type(se, f"a positive number, or {_shape(reference.shape)}"), see)
    if errors.dtype.kind != "f" or not (np.isfinite(errors) & (errors > 0)).all():
        _fail(f"standard error of {what}", f"expected a positive number, came {_short(se)}", see)
    off = _differences(answer, reference)
    excess = off / errors - _checks.positive("times", times)
    if (excess > 0).any():
        at = np.unravel_index(int(np.argmax(excess)), excess.shape)
        band = f" within {times:g} standard errors of {errors[at]:.3g}"
        _fail(what, _worst(answer, reference, off, excess, band) + f", which is {off[at] / errors[at]:.3g} standard errors", see)
