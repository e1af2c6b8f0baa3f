"""In the student's process: the code that checks rely on, remembered before the student's first cell and put back before each check.

`Guard` holds the functions, classes and constants of the modules that checks use; of numpy and torch, which replace parts of themselves while
they run, only what checks call.  `changes` names what was replaced since, `repair` puts the originals back.  A determined programmer gets around
this (it lives in the same process); a copied trick does not.
"""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

FREE = {"print", "input", "open", "help", "exit", "quit", "copyright", "license", "credits", "display", "get_ipython"}
CONSTANT = (int, float, complex, str, bytes, tuple, frozenset, type(None))
OURS = ("deeplimits", "otter")                  # every loaded module of these packages is watched to the last function,
DESK = "desk_"                                  # and the desk's own
NUMBERS = {"numpy": ("abs", "all", "any", "array", "asarray", "broadcast_to", "isfinite", "isnan", "stack", "where", "isclose", "allclose"),
           "torch": ("Tensor", "allclose", "isclose", "equal"), "math": ("ceil", "floor", "isclose", "isnan")}
WHOLE = ("numpy.testing", "torch.testing")
METHODS = ("__abs__", "__array__", "__eq__", "__float__", "__rsub__", "__sub__", "allclose", "cpu", "detach", "numpy", "to")    # of a tensor


def _code(value: Any) -> tuple[Any, ...] | None:
    return (value.__code__, value.__defaults__, value.__kwdefaults__) if isinstance(value, types.FunctionType) else None


def _is_ours(name: str) -> bool:
    return name.split(".")[0] in OURS or name.startswith(DESK)


def _worth_watching(module: str, name: str, value: Any) -> bool:
    if module == "builtins":
        return name not in FREE and name != "_"
    if name.startswith("__"):
        return False
    if _is_ours(module):
        return callable(value) or (isinstance(value, (types.ModuleType, *CONSTANT)) and not name.startswith("_"))
    return not name.startswith("_") and callable(value)


class Guard:
    """The state of the watched modules at the time it is made."""

    def __init__(self, names: Iterable[str]) -> None:
        names = [*names, *(f"{module}.{name}" for module, used in NUMBERS.items() for name in used)]
        whole = {"builtins", "doctest", *(name for name in WHOLE if name in sys.modules)} | {name for name in list(sys.modules) if _is_ours(name)}
        self.modules = {name: sys.modules[name] for name in sorted(whole)}
        self.entries: list[tuple[str, Any, str, Any]] = []          # (label, owner, name, original)
        self.codes: list[tuple[str, types.FunctionType, tuple[Any, ...]]] = []
        self.labels: set[int] = set()
        for name, module in self.modules.items():
            self._remember_module(name, module)
        for name in names:
            self._remember_one(*name.rpartition(".")[::2])

    def _remember_one(self, module: str, name: str) -> None:
        """A function, class or module inside a large module; of a class the methods that comparisons use."""
        owner = sys.modules.get(module)
        if owner is None or owner in self.modules.values() or name not in vars(owner):
            return
        value = vars(owner)[name]
        self.entries.append((f"{module}.{name}", owner, name, value))
        self._remember_code(f"{module}.{name}", value)
        if isinstance(value, type):
            self.entries += [(f"{module}.{name}.{key}", value, key, vars(value)[key]) for key in METHODS if key in vars(value)]

    def _remember_module(self, name: str, module: types.ModuleType) -> None:
        for key, value in list(vars(module).items()):
            if _worth_watching(name, key, value):
                self.entries.append((f"{name}.{key}", module, key, value))
                self._remember_code(f"{name}.{key}", value)
                if isinstance(value, type) and _is_ours(value.__module__):
                    self._remember_class(f"{name}.{key}", value)

    def _remember_class(self, label: str, cls: type) -> None:
        for key, value in list(vars(cls).items()):
            if callable(value) or isinstance(value, (property, classmethod, staticmethod)):
                self.entries.append((f"{label}.{key}", cls, key, value))
                self._remember_code(f"{label}.{key}", value)

    def _remember_code(self, label: str, value: Any) -> None:
        value = getattr(value, "__func__", value)
        if (code := _code(value)) and id(value) not in self.labels:
            self.labels.add(id(value))
            self.codes.append((label, value, code))

    def _differing(self) -> Iterator[tuple[str, Any]]:
        """Label and cure of everything that differs."""
        for name, module in self.modules.items():
            if not name.startswith(DESK) and sys.modules.get(name) is not module:
                yield name, lambda name=name, module=module: sys.modules.__setitem__(name, module)
        for label, owner, key, value in self.entries:
            if vars(owner).get(key, self) is not value:
                yield label, lambda owner=owner, key=key, value=value: setattr(owner, key, value)
        for label, function, code in self.codes:
            if not all(a is b for a, b in zip(_code(function) or (), code, strict=True)):
                yield label, lambda function=function, code=code: _restore(function, code)

    def changes(self) -> list[str]:
        """What is not as it was."""
        return [label for label, _ in self._differing()]

    def repair(self) -> list[str]:
        """Put everything back; what had been changed."""
        found = list(self._differing())
        for _, cure in found:
            cure()
        return [label for label, _ in found]


def _restore(function: types.FunctionType, code: tuple[Any, ...]) -> None:
    function.__code__, function.__defaults__, function.__kwdefaults__ = code


# --- answers that are not what they seem -----------------------------------------------------------

PLAIN = (int, float, complex, str, bytes, list, tuple, dict, set)
COMPARES = {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__sub__", "__rsub__", "__abs__", "__float__", "__array__", "__torch_function__",
            "__array_ufunc__", "__array_function__"}
POSES = {"__float__", "__array__", "__eq__", "__torch_function__"}


def poses(value: Any) -> bool:
    """Whether a value is of a class that the student wrote, which compares or calculates in a way of its own."""
    cls = type(value)
    own = [c for c in cls.__mro__ if getattr(c, "__module__", "") == "__main__"]
    if not own or isinstance(value, (type, types.FunctionType)):
        return False
    numbers = [*PLAIN, *(getattr(sys.modules.get(m), n) for m, n in (("numpy", "ndarray"), ("torch", "Tensor")) if m in sys.modules)]
    defined = set().union(*(vars(c) for c in own))
    if issubclass(cls, tuple(numbers)):
        return bool(defined & COMPARES)
    return bool(defined & POSES) and not hasattr(cls, "__dataclass_fields__")


def shadows(name: str, namespace: dict[str, Any]) -> bool:
    """Whether the student's names hide one of Python's own."""
    return name in namespace and hasattr(builtins, name) and namespace[name] is not getattr(builtins, name)
