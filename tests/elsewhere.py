"""A second device without hardware: its tensors hold CPU numbers, and refuse to meet tensors of the CPU.

PyTorch's name for it is ``meta``, a device that every build has.  What a run draws, computes and returns there goes through
the same calls as on a GPU: a tensor that was left on the CPU, or read without ``.cpu()``, is an error here as it is there.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, ValuesView
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

from deeplimits import _runs, devices

DEVICE = torch.device("meta")
_CPU = torch.device("cpu")
_MOVES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}


class Away(torch.Tensor):
    """A tensor on the second device; ``held`` has its numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Away:
        return torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=DEVICE,
            requires_grad=held.requires_grad)

    def __init__(self, held: torch.Tensor):
        self.held = held

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        return _compute(func, args, kwargs or {})

    def new_tensor(self, data: Any, *, dtype: torch.dtype | None = None, device: Any = DEVICE) -> torch.Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype, device=device)  # as below: torch would leave out the numbers

    def tolist(self) -> Any:
        return self.held.tolist()  # torch leaves this one to its subclasses


class Machine(TorchDispatchMode):
    """Makes tensors on the second device, and counts what is computed there."""

    computed = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Generator(torch.Generator):
    """A generator that knows its device, and works like the CPU's on both."""

    homes: ClassVar[dict[int, torch.device]] = {}  # an operation gets another Python object of the same generator

    def __new__(cls, device: Any = "cpu") -> Any:
        made = super().__new__(cls, device=_CPU)
        cls.homes[made._cdata] = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.homes[self._cdata]


def _compute(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    tensors = list(_tensors((args, kwargs.values())))
    there = any(isinstance(tensor, Away) for tensor in tensors)
    if there and func not in _MOVES and any(tensor.ndim for tensor in tensors if not isinstance(tensor, Away)):
        raise RuntimeError(f"{func}: tensors of two devices meet")
    if kwargs.get("device") is not None:
        there, kwargs = torch.device(kwargs["device"]) == DEVICE, {**kwargs, "device": _CPU}
    generator = kwargs.get("generator")
    if generator is not None and (_Generator.homes.get(generator._cdata) == DEVICE) != there:
        raise RuntimeError(f"{func}: a generator of another device than the tensor's")
    held = func(*(_held(value) for value in args), **{name: _held(value) for name, value in kwargs.items()})
    if not there:
        return held
    Machine.computed += 1
    return return_and_correct_aliasing(func, args, kwargs, _away(held)) if _aliases(func) else _away(held)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list, ValuesView)):
        for part in value:
            yield from _tensors(part)


def _held(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(_held(part) for part in value)
    return value.held if isinstance(value, Away) else value


def _away(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(_away(part) for part in value)
    return Away(value) if isinstance(value, torch.Tensor) else value


@functools.cache
def _aliases(func: Any) -> bool:
    """Whether an operation returns one of its arguments or a view of it: these must know each other."""
    return any(result.alias_info is not None for result in func._schema.returns)


def _made_here_first(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """``torch.tensor`` and ``torch.as_tensor`` leave out the numbers on ``meta``: they make the tensor on the CPU and move it."""
    def made(data: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        if isinstance(data, torch.Tensor) or device is None or torch.device(device) != DEVICE:
            return make(data, device=device, **options)
        return make(data, device=_CPU, **options).to(DEVICE)
    return made


def _enter() -> None:
    Machine().__enter__()


@contextmanager
def second_device(monkeypatch: Any, default: bool = True) -> Iterator[type[Machine]]:
    """A machine with two devices; runs that name none go to the second if ``default``."""
    monkeypatch.setattr(_runs, "ThreadPoolExecutor", functools.partial(ThreadPoolExecutor, initializer=_enter))
    monkeypatch.setattr(torch, "Generator", _Generator)
    for name in ("tensor", "as_tensor"):
        monkeypatch.setattr(torch, name, _made_here_first(getattr(torch, name)))
    monkeypatch.setattr(devices, "_default", DEVICE if default else None)
    Machine.computed = 0
    with Machine():
        yield Machine


def main(page: str) -> None:
    """Run the cells of a page as on a machine with a GPU; print how much was computed there."""
    import jupytext
    import pytest
    from IPython.core.interactiveshell import InteractiveShell

    cells = [cell.source for cell in jupytext.read(page, fmt="md:myst").cells if cell.cell_type == "code"]
    os.chdir(Path(page).parent)
    shell = InteractiveShell.instance()
    with pytest.MonkeyPatch.context() as patch, second_device(patch) as machine:
        for number, source in enumerate(cells):
            result = shell.run_cell(source, store_history=False)
            if not result.success:
                raise SystemExit(f"cell {number} failed on the second device:\n{source}")
    print(f"computed there: {machine.computed}")


if __name__ == "__main__":
    from tests import elsewhere  # one module, whoever asks for it

    elsewhere.main(sys.argv[1])
