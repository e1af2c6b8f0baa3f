"""What all explorers share: settings, sentences, payload, page and widget (*Using this book*)."""

from __future__ import annotations

import json
import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from deeplimits.explorer import page
from deeplimits.explorer.frames import Control, setting
from deeplimits.explorer.live import Bench, live_widget
from deeplimits.explorer.wording import capital, number

#: While this environment variable is set and not empty, explorers make no widget: the book's build sets it.
STATIC = "DEEPLIMITS_STATIC"
#: An explorer may weigh at most this many bytes (style, picture, texts and data).
BUDGET = 150_000

Summary = str | Callable[[xr.Dataset], str] | None


class Explorer(ABC):
    """A figure that moves: in a notebook the last value of a cell shows it. :func:`deeplimits.explore` makes it.

    Attributes:
        id: name of the figure in the page's address.
        state: the setting it opens with, an index for each control (a surface adds the two angles of the view).
        controls: the sliders and choices.
        summaries: the text of every setting, the last control moving fastest.

    Example:
        >>> from deeplimits.explorer import explore
        >>> line = xr.Dataset({"survival": ("depth", [1.0, 0.25])}, {"depth": [0, 3]})
        >>> explore(line).summary
        'Survival falls from 1 to 0.25 between depth 0 and 3 and passes one half at 2.'
    """

    #: Which part of the script draws it.
    kind = ""

    def __init__(self, *, id: str, title: str, state: Sequence[int], controls: Sequence[Control], alt: str,
                 summaries: Sequence[str]) -> None:
        self.id, self.title, self.state, self.alt = id, title, tuple(state), alt
        self.controls, self.summaries = tuple(controls), list(summaries)
        self.bench: Bench | None = None
        self._widget: Any = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each control has."""
        return tuple(len(c.texts) for c in self.controls)

    def states(self) -> list[tuple[int, ...]]:
        """All settings, the last control moving fastest."""
        return settings(self.sizes)

    def row(self, over: Sequence[int], state: Sequence[int] | None = None) -> int:
        """Number of the frame, among those of the controls ``over``, that belongs to a setting (the opening one)."""
        found = 0
        for i in over:
            found = found * self.sizes[i] + (state or self.state)[i]
        return found

    @property
    def summary(self) -> str:
        """The text that goes with the opening picture."""
        return self.summaries[self.row(range(len(self.controls)))]

    @abstractmethod
    def drawing(self) -> dict[str, Any]:
        """What this kind of explorer adds to the payload."""

    @abstractmethod
    def readers(self) -> list[page.Reader]:
        """The sliders that read values off the picture."""

    @abstractmethod
    def legend(self) -> str:
        """The entries of the legend, as HTML."""

    @property
    @abstractmethod
    def svg(self) -> str:
        """The opening picture."""

    def scales(self) -> dict[str, Any]:
        """What keeps the axes where they are when another frame is drawn."""
        return {}

    def turns(self) -> list[page.Turn]:
        """The sliders that turn the picture."""
        return []

    @cached_property
    def payload(self) -> dict[str, Any]:
        """All frames as JSON-able data."""
        controls = [{"name": c.name, "values": list(c.texts)} for c in self.controls]
        return {"id": self.id, "kind": self.kind, "alt": self.alt, "state": list(self.state), "sizes": list(self.sizes),
                "controls": controls, **self.drawing(), "summaries": self.summaries}

    @cached_property
    def html(self) -> str:
        """The figure as one piece of HTML, complete without script."""
        data = json.dumps(self.payload, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return page.figure(self.id, self.title, self.controls, self.state, self.legend(), self.svg, self.readers(), self.turns(),
                           self.summary, max(self.summaries, key=len), data.replace("<", "\\u003c"))

    def light(self, advice: str) -> Explorer:
        """Itself, if it is within its budget."""
        weight = len(self.html.encode())
        if weight > BUDGET:
            shape = " × ".join(map(str, self.sizes)) or "1"
            raise ValueError(f"explorer {self.id!r} would weigh {weight // 1000} kB, above {BUDGET // 1000} kB: {shape} frames of "
                             f"{advice.format(stride=math.ceil(weight / BUDGET) + 1)}, thin a slider the same way, or fix one "
                             f"with ds.sel")
        return self

    def widget(self) -> Any:
        """The live widget, made once; its trait ``state`` is the list of chosen indices, in both directions."""
        if self._widget is None:
            self._widget = live_widget(self)
        return self._widget

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"{self.title}: {self.summary}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self.html}
        if os.environ.get(STATIC) or not find_spec("anywidget"):
            return bundle, {}
        live = self.widget()._repr_mimebundle_(include=include, exclude=exclude) or {}
        data, meta = live if isinstance(live, tuple) else (live, {})
        return {**data, **bundle}, meta


def settings(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """All settings of controls with so many values, the last moving fastest.

    Example:
        >>> settings((1, 2))
        [(0, 0), (0, 1)]
    """
    return list(product(*(range(n) for n in sizes)))


def identifier(id: str | None, title: str) -> str:
    """The name in the page's address: as given, or made from the title."""
    if id is None:
        return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].strip("-") or "explorer"
    if not re.fullmatch(r"[A-Za-z][\w-]*", id):
        raise ValueError(f"id must be a letter followed by letters, digits, '-' or '_'; got {id!r}")
    return id


def opening(ds: xr.Dataset, controls: Sequence[Control], start: Mapping[str, Any] | None) -> list[int]:
    """The setting to begin with: the middle of a slider, the first entry of a choice, or what ``start`` names."""
    state = [len(c.texts) // 2 if c.numeric else 0 for c in controls]
    names = [c.name for c in controls]
    for name, value in (start or {}).items():
        if name not in names:
            raise ValueError(f"start must name controls, some of {', '.join(map(repr, names)) or '(none)'}; got {name!r}")
        control = controls[names.index(name)]
        values = ds[name].values
        hit = np.flatnonzero(np.isclose(values.astype(float), value, rtol=1e-6, atol=0) if control.numeric
                             else values.astype(str) == str(value))
        if not hit.size:
            raise ValueError(f"start must hold a value of '{name}', one of {', '.join(control.texts)}; got {value!r}")
        state[names.index(name)] = int(hit[0])
    return state


class _Spoken(float):
    """A number in a template; where it is not finite a template says so in words."""

    def __format__(self, spec: str) -> str:
        if math.isfinite(self):
            return (format(float(self), spec) if spec else number(self)).replace("-", "−")
        return "not reached" if math.isnan(self) else number(self)


def sentences(ds: xr.Dataset, controls: Sequence[Control], summary: Summary,
              default: Callable[[tuple[int, ...]], str]) -> list[str]:
    """The text of every setting: by a template, by a function of the frame, or what the picture shows by ``default``."""
    return [_sentence(ds, controls, state, summary, default) for state in settings([len(c.texts) for c in controls])]


def _sentence(ds: xr.Dataset, controls: Sequence[Control], state: tuple[int, ...], summary: Summary,
              default: Callable[[tuple[int, ...]], str]) -> str:
    chosen = list(zip(controls, state, strict=True))
    if summary is None:
        given, text = ", ".join(setting(c, i) for c, i in chosen), default(state)
        return f"At {given}, {text}" if given else capital(text)
    frame = ds.isel({c.name: i for c, i in chosen})
    if callable(summary):
        return str(summary(frame))
    values = {str(name): _Spoken(v.item()) if v.dtype.kind in "iufb" else str(v.item())
              for name, v in frame.variables.items() if v.size == 1}
    values |= {c.name: c.texts[i] for c, i in chosen if c.name not in values}
    try:
        return summary.format_map(values)
    except KeyError as error:
        raise ValueError(f"summary must use variables with one value in each frame, some of "
                         f"{', '.join(map(repr, values)) or '(none)'}; got {error.args[0]!r}") from None
