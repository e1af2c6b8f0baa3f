"""Axes, lines, headings and legends in the style of the book (*Using this book*)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplimits.explorer.frames import Curve
from deeplimits.explorer.palette import CURVES, DASHES, PREDICTED, PREDICTED_DASH
from deeplimits.explorer.wording import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def axes() -> Axes:
    """New axes."""
    import matplotlib.pyplot as plt

    return plt.subplots()[1]


def own(ax: Axes | None) -> tuple[Axes, bool]:
    """The axes to draw on, and whether they are new."""
    return (axes(), True) if ax is None else (ax, False)


def panels(rows: int) -> tuple[Figure, Any]:
    """A figure with panels one below the other, so that they stay legible on a phone."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, 1, figsize=(5.8, 3.3 * rows))
    figure.get_layout_engine().set(h_pad=0.12)
    return figure, axes


def heading(ax: Axes, title: str | None, ylabel: str) -> None:
    """Title and, below it and level to read, the name of the vertical axis."""
    ax.set_ylabel(ylabel, rotation=0, ha="left", va="bottom")
    ax.yaxis.set_label_coords(-0.08, 1.03)
    if title:
        ax.set_title(title, loc="left", x=-0.08, pad=26, fontweight="bold")


def legend(axes: Sequence[Axes], own: bool) -> None:
    """A legend inside the axes if it is short, else below the figure (where the figure is ours)."""
    handles, labels = axes[-1].get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: 2 * labels[i].startswith("±") + labels[i].startswith("predicted"))
    handles, labels = [handles[i] for i in order], [labels[i] for i in order]
    if 1 < len(labels) <= 3 or (len(labels) > 3 and not own):
        axes[-1].legend(handles, labels)
    elif len(labels) > 3:
        figure = axes[-1].figure
        figure.set_figheight(figure.get_figheight() + 0.25 * ((len(labels) + 1) // 2))
        figure.legend(handles, labels, loc="outside lower left", ncols=2)


def dash(k: int) -> Any:
    """The dash pattern of curve ``k`` as matplotlib wants it, in line widths; −1 is the predicted curve."""
    pattern = PREDICTED_DASH if k < 0 else DASHES[k]
    return (0, [float(v) / 1.6 for v in pattern.split()]) if pattern else "-"


def line(ax: Axes, x: np.ndarray, y: np.ndarray, k: int, label: str) -> None:
    """Curve ``k`` in its colour and dashes."""
    ax.plot(x, y, color=CURVES[k], linestyle=dash(k), label=label)


def draw(ax: Axes, x: np.ndarray, curve: Curve, label: str | None) -> None:
    """A measured curve with its band, or a predicted one."""
    y = curve.at(())
    if curve.predicted:
        ax.plot(x, y, color=PREDICTED, linestyle=dash(-1), linewidth=1.3, zorder=4, label=label or "_predicted")
        return
    if curve.color >= len(CURVES):
        raise ValueError(f"at most {len(CURVES)} curves can be told apart; select some of them")
    if curve.low is not None and curve.high is not None:
        ax.fill_between(x, curve.low, curve.high, color=CURVES[curve.color], alpha=0.3, linewidth=0, label="_band")
    line(ax, x, y, curve.color, label or curve.label)


def plain_ticks(ax: Axes) -> None:
    """Plain numbers on a logarithmic axis that covers little more than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        if axis.get_scale() == "log" and high / low < 100:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda v, _: number(v)))
            axis.set_minor_formatter(NullFormatter())
