"""The live widget of an explorer, for JupyterLab and Colab, and what it computes beyond its grid (*Using this book*)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import xarray as xr

from deeplimits.explorer.assembly import script
from deeplimits.explorer.frames import listed, setting
from deeplimits.explorer.wording import number

if TYPE_CHECKING:
    from deeplimits.explorer.base import Explorer


class Bench:
    """Where a live explorer computes settings that are not on its grid.

    Args:
        ds: the result with the grid.
        explorer: its figure.
        compute: from a setting to a Dataset for that setting alone.
        draw: from that Dataset to its figure, on the axes of the first.
    """

    def __init__(self, ds: xr.Dataset, explorer: Explorer, compute: Callable[[dict[str, Any]], xr.Dataset],
                 draw: Callable[[xr.Dataset], Explorer]) -> None:
        self.controls, self.compute, self.draw = explorer.controls, compute, draw
        self.values = {c.name: ds[c.name].values.tolist() for c in self.controls}
        self.state = explorer.state

    def offers(self) -> list[dict[str, Any]]:
        """What the reader may set: a number for each slider, one of the words of each choice."""
        return [{"name": c.name, "label": c.label, "value": self.values[c.name][i], "words": [] if c.numeric else list(c.texts)}
                for c, i in zip(self.controls, self.state, strict=False)]

    def frame(self, wanted: Mapping[str, Any]) -> Explorer:
        """The figure of one setting, computed now."""
        given = {c.name: wanted[c.name] for c in self.controls}
        found = self.compute(dict(given))
        if not isinstance(found, xr.Dataset):
            raise TypeError(f"compute must return an xarray.Dataset; got {type(found).__name__}")
        wide = [name for name in given if found.sizes.get(name, 1) > 1]
        if wide:
            raise ValueError(f"compute must return one setting; its dataset has several values of {listed(wide)}")
        found = found.squeeze([name for name in given if name in found.dims], drop=True)
        return self.draw(found.assign_coords(given))

    def answer(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """What the widget sends to the page: the frame and its text, or what went wrong."""
        try:
            figure = self.frame(wanted)
        except Exception as error:                                        # whatever a reader's function raises is told to the reader
            return {"error": f"{type(error).__name__}: {error}"}
        words = [setting(c, c.texts.index(str(wanted[c.name]))) if not c.numeric else f"{c.label} = {number(wanted[c.name], 6)}"
                 for c in self.controls]
        return {"payload": figure.payload, "summary": f"Computed at {', '.join(words)}. {figure.summary}"}


def live_widget(explorer: Explorer) -> Any:
    """A widget with the figure (``html``) and its setting (``state``), in both directions; ``ask`` and ``answer`` serve the bench."""
    import anywidget
    import traitlets

    class ExplorerWidget(anywidget.AnyWidget):
        _esm = script()
        html = traitlets.Unicode().tag(sync=True)
        state = traitlets.List(traitlets.Int()).tag(sync=True)
        offers = traitlets.List().tag(sync=True)
        ask = traitlets.Dict().tag(sync=True)
        answer = traitlets.Dict().tag(sync=True)

    bench = explorer.bench
    widget = ExplorerWidget(html=explorer.html, state=list(explorer.state), offers=bench.offers() if bench else [])

    def asked(change: Any) -> None:
        if bench and change["new"]:
            widget.answer = {"count": change["new"]["count"], **bench.answer(change["new"]["setting"])}

    widget.observe(asked, "ask")
    return widget
