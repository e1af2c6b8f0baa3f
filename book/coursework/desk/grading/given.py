"""In the student's process: the data that the set hands out, made anew from the number that the submission is filed under.

The cells that a set gives (not those to be answered) are run once before the student's first cell. A check then sees these values, whatever the notebook did
to the names: with another student's number, or with data made easier, the answers do not fit.
"""

from __future__ import annotations

import contextlib
import dis
import random
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

PLAIN = (bool, int, float, complex, str, tuple, type(None))


def _arrays() -> tuple[type, ...]:
    return tuple(getattr(sys.modules[m], n) for m, n in (("numpy", "ndarray"), ("torch", "Tensor")) if m in sys.modules)


def _globals_of(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals_of(constant)


def _stands_alone(value: types.FunctionType, names: dict[str, Any]) -> bool:
    """Whether a function needs nothing but what was handed out."""
    builtins = sys.modules["builtins"]
    return all(name in names or hasattr(builtins, name) for name in _globals_of(value.__code__))


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Random states and torch's defaults as they were."""
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    state = random.getstate(), torch and torch.get_rng_state(), numpy and numpy.random.get_state(), torch and torch.get_default_dtype()
    try:
        yield
    finally:
        random.setstate(state[0])
        if torch:
            torch.set_rng_state(state[1])
            torch.set_default_dtype(state[3])
        if numpy:
            numpy.random.set_state(state[2])


def make(cells: Iterable[str], student: str, answered: Iterable[str]) -> dict[str, Any]:
    """The values by name; cells that need an answer are left out, and so are names that an answer may assign."""
    names: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__, "display": lambda *given, **named: None, "get_ipython": lambda: None}
    names["student"] = int(student) if student.isdecimal() else student
    before = dict(names)
    with _undisturbed():
        for cell in cells:
            with contextlib.suppress(Exception, SystemExit):
                exec(compile(cell, "handed out", "exec", dont_inherit=True), names)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    kept, arrays = {}, _arrays()
    for name, value in names.items():
        if name in before or name in answered or name.startswith("_"):
            continue
        if type(value) in PLAIN or type(value) in arrays or (isinstance(value, types.FunctionType) and _stands_alone(value, names)):
            kept[name] = value
    return kept


def same(value: Any, other: Any) -> bool:
    """Whether two values are equal; functions count as equal if their code uses the same names."""
    try:
        if isinstance(value, types.FunctionType) and isinstance(other, types.FunctionType):
            return all(getattr(value.__code__, part) == getattr(other.__code__, part) for part in ("co_names", "co_varnames", "co_argcount"))
        if type(value) in _arrays() and type(other) in _arrays():
            return value.shape == other.shape and bool((value == other).all())
        return type(value) is type(other) and bool(value == other)
    except Exception:                               # it may be the student's own class
        return False
