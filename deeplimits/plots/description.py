"""Alternative texts, written from what is drawn (*Using this book*)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deeplimits.explorer.wording import course, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TEX = {r"\varepsilon": "ε", r"\epsilon": "ε", r"\sigma": "σ", r"\lambda": "λ", r"\theta": "θ", r"\rho": "ρ", r"\ell": "ℓ",
        r"\phi": "φ", r"\varphi": "φ", r"\xi": "ξ", r"\chi": "χ", r"\pi": "π", r"\log": "log", r"\infty": "∞", r"\to": "→",
        r"\times": "×", r"\cdot": "·", r"\leq": "≤", r"\geq": "≥", r"\Phi": "Φ", r"\delta": "δ", r"\Delta": "Δ"}


def describe(figure: Figure | Axes | Sequence[Axes]) -> str:
    """Alternative text of a figure, written from what is drawn on it.

    Names title and axes of each panel, and says of each labelled curve from where to where it runs and, for values in
    [0, 1], where it passes one half.

    Args:
        figure: a figure, or axes of it (then only those are described).

    Example:
        >>> import matplotlib.pyplot as plt
        >>> _, ax = plt.subplots()
        >>> _ = ax.plot([0, 10, 20], [1, 0.75, 0.25], label="measured")
        >>> _ = ax.set(xlabel="depth", ylabel="survival")
        >>> describe(ax)
        'Chart of survival against depth: measured falls from 1 to 0.25 between depth 0 and 20 and passes one half at 15.'
        >>> plt.close("all")
    """
    panels = [figure] if hasattr(figure, "get_xlabel") else list(getattr(figure, "axes", figure))
    texts = [t for t in (_panel(ax) for ax in panels if ax.get_visible()) if t]
    if len(texts) < 2:
        return texts[0] if texts else ""
    return f"{len(texts)} panels. " + " ".join(f"({i + 1}) {t}" for i, t in enumerate(texts))


def _plain(text: str) -> str:
    """Mathtext as plain text.

    Example:
        >>> _plain(r"precision $\\varepsilon = 10^{-10}$")
        'precision ε = 10^-10'
    """
    for tex, sign in _TEX.items():
        text = re.sub(re.escape(tex) + r"(?![A-Za-z])", sign, text)
    return re.sub(r"\\[a-z]*\s?|[${}]", "", text).strip()


def _panel(ax: Axes) -> str:
    title, xlabel, ylabel = (_plain(t) for t in (ax.get_title() or ax.get_title("left"), ax.get_xlabel(), ax.get_ylabel()))
    logs = [n for n, a in (("horizontal", ax.xaxis), ("vertical", ax.yaxis)) if a.get_scale() == "log"]
    scale = {0: "", 1: f" ({logs[0] if logs else ''} scale logarithmic)", 2: " (log scales)"}[len(logs)]
    what = f"Chart of {ylabel or 'values'} against {xlabel}" if xlabel else (f"Chart of {ylabel}" if ylabel else "Chart")
    curves, log = _labelled(ax), ax.get_yscale() == "log"
    said = [f"{label} {course(x, y, xlabel or 'x', log=log, brief=len(curves) > 2)}" for label, x, y in curves]
    for image in ax.get_images():
        values = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
        said.append(f"a heat map with values from {number(np.nanmin(values))} to {number(np.nanmax(values))}")
    if not said and not title and not (xlabel or ylabel):
        return ""
    if any(line.get_label() == "_predicted" for line in ax.get_lines()):
        said = [*[s for s in said if not s.startswith("predicted ")], "each with its predicted curve"]
    return (f"{title}. " if title else "") + what + scale + (": " + "; ".join(said) if said else "") + "."


def _labelled(ax: Axes) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Label and points of all curves and point clouds that have a label; of unlabelled ones if there is no label at all."""
    found = [(str(c.get_label()), *c.lines[0].get_data()) for c in ax.containers if hasattr(c, "lines") and c.lines[0] is not None]
    found += [(str(line.get_label()), *line.get_data()) for line in ax.get_lines()]
    found += [(str(c.get_label()), *np.asarray(c.get_offsets(), dtype=float).T) for c in ax.collections
              if type(c).__name__ == "PathCollection" and len(c.get_offsets())]
    named = [(_plain(t), np.asarray(x, float), np.asarray(y, float)) for t, x, y in found if t and not t.startswith("_")]
    if not named:
        named = [(f"curve {i + 1}" if len(found) > 1 else "the curve", np.asarray(x, float), np.asarray(y, float))
                 for i, (_, x, y) in enumerate(found) if len(x) > 1]
    out = []
    for label, x, y in named:
        order = np.argsort(x, kind="stable")
        if len(x):
            out.append((label, x[order], y[order]))
    return out
