"""Explorers of formulas: nothing is stored, every setting is computed where it is shown (*Using this book*)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from deeplimits.explorer import page, picture, theory
from deeplimits.explorer.axis import STEPS, Axis
from deeplimits.explorer.base import Explorer, identifier
from deeplimits.explorer.frames import Control
from deeplimits.explorer.palette import CURVES, INK, PREDICTED, PREDICTED_DASH
from deeplimits.explorer.wording import distinct, spoken


@dataclass(frozen=True)
class Setting:
    """A control of a formula: its words, its values and the one to begin with."""

    name: str
    label: str
    values: tuple[Any, ...]
    start: Any

    @property
    def control(self) -> Control:
        numeric = not isinstance(self.values[0], str)
        return Control(self.name, self.label, tuple(distinct(self.values)) if numeric else self.values, numeric)


@dataclass(frozen=True)
class Line:
    """One of the lines of a formula: its words, colour, width and dash."""

    label: str
    color: str
    width: float = 1.5
    dash: str = ""

    @property
    def stroke(self) -> str:
        """Presentation attributes."""
        dashed = f' stroke-dasharray="{self.dash}"' if self.dash else ""
        return f'fill="none" stroke="{self.color}" stroke-width="{self.width}"{dashed}'


@dataclass(frozen=True)
class Formula:
    """A formula: its controls, its axes, its lines, and the function that gives the lines and the text of a setting."""

    title: str
    settings: tuple[Setting, ...]
    axes: tuple[Axis, Axis]
    lines: tuple[Line, ...]
    compute: Callable[[Mapping[str, Any]], tuple[theory.Lines, str]]
    square: bool = False


def _grid(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(float(f"{v:.6g}") for v in np.linspace(low, high, count))


#: The formulas by name. The script has the function of each under the same name.
FORMULAS: dict[str, Formula] = {
    "correlation-map": Formula(
        "The correlation map and its cobweb",
        (Setting("activation", "activation", tuple(theory.UNITS), "tanh"),
         Setting("weight_std", "weight std σ_w", _grid(0.5, 3.0, 51), 2.5),
         Setting("bias_std", "bias std σ_b", _grid(0.0, 1.0, 21), 0.3),
         Setting("correlation", "inputs' correlation", _grid(0.0, 0.98, 50), 0.9)),
        (Axis(0, 1, label="correlation c in one layer"), Axis(0, 1, label="correlation F(c) in the next")),
        (Line("F(c)", CURVES[0], 3), Line("F(c) = c", INK), Line("from layer to layer", PREDICTED, 2), Line("c*", CURVES[1], 2, "2 3")),
        theory.correlation_lines, square=True),
    "cutoff-profile": Formula(
        "The profile of a cut-off",
        (Setting("decades", "decades, log₁₀ 1/ε", (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300), 10),
         Setting("rate", "loss a layer |λ|", _grid(0.02, 0.5, 49), 0.14),
         Setting("spread", "its std s", _grid(0.05, 1.0, 20), 0.2)),
        (Axis(0, 2, label="depth / cut-off depth"), Axis(-0.03, 1.03, label="share of networks that tell two inputs apart")),
        (Line("Φ((L − |λ| l) / s√l)", PREDICTED, 3), Line("three quarters", INK, 1.5, PREDICTED_DASH), Line("one quarter", INK, 1.5, "2 3")),
        theory.cutoff_lines),
}


class FormulaExplorer(Explorer):
    """A formula with its controls; the page computes it anew for each setting."""

    kind = "formula"

    def __init__(self, name: str, formula: Formula, **shared: Any) -> None:
        self.name, self.formula = name, formula
        super().__init__(controls=[s.control for s in formula.settings], summaries=[], **shared)
        ends = product(*((0, n - 1) for n in self.sizes))
        self.summaries = [self.compute_at(state)[1] for state in (self.state, *ends)]

    @property
    def summary(self) -> str:
        return self.summaries[0]

    def compute_at(self, state: tuple[int, ...]) -> tuple[theory.Lines, str]:
        """Lines and text of a setting, in the units of the axes."""
        return self.formula.compute({s.name: s.values[i] for s, i in zip(self.formula.settings, state, strict=True)})

    def drawing(self) -> dict[str, Any]:
        """The name of the formula, the values of its controls and its axes."""
        axes = [{"label": spoken(a.label), "low": a.low, "high": a.high, "log": False} for a in self.formula.axes]
        return {"formula": self.name, "steps": STEPS, "settings": [list(s.values) for s in self.formula.settings],
                "x": axes[0], "y": axes[1], "labels": [line.label for line in self.formula.lines]}

    def readers(self) -> list[page.Reader]:
        return [page.Reader("Read at", len(self.compute_at(self.state)[0][0]))]

    def legend(self) -> str:
        return "".join(picture.item('<svg class="dl-key" viewBox="0 0 30 10" width="30" height="10" aria-hidden="true">'
                                    f'<path {line.stroke} d="M1 5H29"/></svg>', line.label) for line in self.formula.lines)

    @property
    def svg(self) -> str:
        lines, _ = self.compute_at(self.state)
        xaxis, yaxis = self.formula.axes
        outlines = [picture.trace(xaxis.steps([x for x, _ in line]), yaxis.steps([y for _, y in line])) for line in lines]
        drawn = "".join(f'<path data-line="{k}" {line.stroke} {picture.FIXED} d="{d}"/>'
                        for k, (line, d) in reversed(list(enumerate(zip(self.formula.lines, outlines, strict=True)))))
        drawn += (f'<path data-cursor="" fill="none" stroke="currentColor" {picture.FIXED} d=""/>'
                  f'<path data-points="" fill="none" stroke="currentColor" stroke-width="8" stroke-linecap="round" {picture.FIXED} d=""/>')
        height = 480 if self.formula.square else picture.HEIGHT
        around, place = picture.axes(xaxis, yaxis, height, 38)
        return picture.whole(around + picture.plot(place, drawn), f"{self.alt} {self.summary}", height)


def formula(name: str, *, start: Mapping[str, Any] | None = None, title: str | None = None, alt: str | None = None,
            id: str | None = None) -> Explorer:
    r"""Draw a formula that the page computes itself, for every setting of its controls.

    ====================  ==================================================================================================
    ``correlation-map``   the mean-field map of the correlation for tanh, erf or ReLU, with its cobweb; controls
                          ``activation``, ``weight_std``, ``bias_std``, ``correlation``
    ``cutoff-profile``    the Gaussian profile of a contracting network against depth / cut-off depth; controls ``decades``
                          (log₁₀ 1/ε), ``rate`` (\|λ\|), ``spread`` (s)
    ====================  ==================================================================================================

    Args:
        name: which formula.
        start: opening value of some controls, the nearest one that the control has, e.g. ``{"weight_std": 1.3}``.
        title: plain text above the figure.
        alt: how the picture is described before the summary.
        id: name in the page's address, unique on a page; default: the name of the formula.

    Returns:
        An :class:`~deeplimits.explorer.Explorer`.

    Raises:
        ValueError: a formula or a control that does not exist, or a value outside its control.

    Example:
        >>> formula("cutoff-profile", start={"decades": 10})
        The profile of a cut-off: Cut-off depth 164, window 24.7, relative width 0.15.
    """
    if name not in FORMULAS:
        raise ValueError(f"name must be one of {', '.join(map(repr, FORMULAS))}; got {name!r}")
    chosen, wanted = FORMULAS[name], dict(start or {})
    state = [_nearest(s, wanted.pop(s.name, s.start)) for s in chosen.settings]
    if wanted:
        known = ", ".join(repr(s.name) for s in chosen.settings)
        raise ValueError(f"start must name controls, some of {known}; got {next(iter(wanted))!r}")
    title = title or chosen.title
    x, y = chosen.axes
    return FormulaExplorer(name, chosen, id=identifier(id or name, title), title=title, state=state,
                           alt=alt or f"{title}. Chart of {y.label} against {x.label}.")


def _nearest(setting: Setting, value: Any) -> int:
    if isinstance(setting.values[0], str):
        if value not in setting.values:
            raise ValueError(f"start must hold a value of '{setting.name}', one of {', '.join(setting.values)}; got {value!r}")
        return setting.values.index(value)
    low, high = setting.values[0], setting.values[-1]
    if not low <= value <= high:
        raise ValueError(f"start must hold a value of '{setting.name}' between {low} and {high}; got {value!r}")
    return int(np.argmin(np.abs(np.array(setting.values) - value)))
