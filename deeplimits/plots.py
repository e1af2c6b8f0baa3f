r"""Figures with one visual language and a description for those who do not see them (*Using this book*).

The functions draw labelled results on matplotlib axes; :func:`show` puts the figure on the page as inline SVG whose ink
is the colour of the text around it and which carries its alternative text.
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import xarray as xr

from deeplimits.explorer.frames import Band, Curve, Prediction, collect, label_of, with_prediction
from deeplimits.explorer.palette import CURVES, DASHES, INK, PREDICTED
from deeplimits.explorer.wording import course, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")

#: The style sheet, for ``matplotlib.style.use``.
STYLE = Path(__file__).with_name("deeplimits.mplstyle")

_TEX = {r"\varepsilon": "ε", r"\epsilon": "ε", r"\sigma": "σ", r"\lambda": "λ", r"\theta": "θ", r"\rho": "ρ", r"\ell": "ℓ",
        r"\phi": "φ", r"\varphi": "φ", r"\xi": "ξ", r"\chi": "χ", r"\pi": "π", r"\log": "log", r"\infty": "∞", r"\to": "→",
        r"\times": "×", r"\cdot": "·", r"\leq": "≤", r"\geq": "≥", r"\Phi": "Φ", r"\delta": "δ", r"\Delta": "Δ"}


class Picture:
    """A figure ready for the page: inline SVG with its alternative text. :func:`show` makes it.

    Attributes:
        svg: the drawing, a complete ``<svg>`` element.
        alt: what is seen, in words.
        caption: a line under the figure, or the empty string.
    """

    def __init__(self, svg: str, alt: str, caption: str = "") -> None:
        self.svg, self.alt, self.caption = svg, alt, caption

    def _repr_html_(self) -> str:
        below = f"<figcaption>{escape(self.caption)}</figcaption>" if self.caption else ""
        return f'<figure class="dl-figure" style="margin:1rem 0;padding:0">{self.svg}{below}</figure>'

    def __repr__(self) -> str:
        return f"Picture: {self.alt}"

    def save(self, path: str | Path) -> None:
        """Write the drawing as an SVG file, its ink in a grey that light and dark pages bear (contrast above 4:1)."""
        Path(path).write_text(self.svg.replace("currentColor", INK) + "\n", encoding="utf8")


def _styled(draw: Callable[P, T]) -> Callable[P, T]:
    """The function, drawing in the style of the book."""
    @functools.wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> T:
        import matplotlib.style

        with matplotlib.style.context(STYLE):
            return draw(*args, **kwargs)

    return inner


def use_style() -> None:
    """Use the style of the book for all figures that follow, and SVG for those that a notebook shows by itself.

    Example:
        >>> use_style()
        >>> import matplotlib
        >>> matplotlib.rcParams["svg.hashsalt"]
        'deeplimits'
    """
    import matplotlib.style

    matplotlib.style.use(STYLE)
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        set_matplotlib_formats("svg")


@_styled
def show(figure: Figure | Axes | Sequence[Axes], alt: str | None = None, caption: str = "") -> Picture:
    """Turn a figure into a picture for the page, with its alternative text, and close it.

    Text and axes in the style's grey become ``currentColor``, so they have the contrast of the text around the figure, in
    light and in dark. The drawing shrinks with the page. Equal figures give equal bytes.

    Args:
        figure: a figure, or axes of it.
        alt: what is seen, in words, best with the numbers of the data in it; None lets :func:`describe` write it.
        caption: a line under the figure.

    Returns:
        A :class:`Picture`, which a notebook shows when it is the last value of a cell.

    Raises:
        ValueError: ``alt`` is given but says nothing.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> _, ax = plt.subplots()
        >>> _ = ax.plot([0, 1], [0, 2])
        >>> show(ax, alt="A line of slope 2.")
        Picture: A line of slope 2.
    """
    import matplotlib.pyplot as plt

    drawn = _figure_of(figure)
    alt = describe(drawn) if alt is None else " ".join(alt.split())
    if not alt:
        raise ValueError("alt must say in words what the figure shows; got an empty text (None lets describe() write it)")
    buffer = io.StringIO()
    drawn.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(drawn)
    return Picture(_inline(buffer.getvalue(), alt), alt, caption)


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


@_styled
def profile(profile: xr.Dataset | xr.DataArray, y: str | None = None, *, x: str = "depth", lines: str | None = None,
            predicted: Prediction = None, band: Band = None,
            family: str | None = None, xscale: str = "linear", yscale: str = "linear",
            labels: Mapping[str, str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw a profile: a statistic against depth, with its error band and the predicted curve.

    Args:
        profile: result of :func:`deeplimits.cutoff.survival`, or any labelled result; a DataArray is one curve.
        y: variable to draw; default ``"survival"``, or the only variable.
        x: dimension of the horizontal axis.
        lines: dimension with one curve for each entry (at most six).
        predicted: variable, DataArray, or function of the values of ``x``, such as the ``survival`` of a prediction.
        band: as for :func:`deeplimits.explore`; by default twice the standard error, about 95 %.
        family: the parameters that are held and the one that is varied, e.g. ``"width 64, ε = 10⁻¹⁰"``; the title.
        xscale, yscale: ``"linear"`` or ``"log"``.
        labels: words for dimensions and variables.
        ax: axes to draw on; default: new ones in the style of the book.

    Returns:
        The axes, ready for :func:`show`.

    Raises:
        ValueError: a name that is not in the data, or a dimension without a place.

    Example:
        >>> depth = np.arange(41)
        >>> curve = xr.DataArray(np.exp(-depth / 10), {"depth": depth}, name="distance")
        >>> ax = profile(curve, predicted=lambda depth: np.exp(-depth / 10), family="rate 1/10")
        >>> describe(ax).split(":")[0]
        'rate 1/10. Chart of distance against depth'
    """
    ds = _dataset(profile)
    name = y or _only(ds)
    labels = dict(labels or {})
    ds, theory = with_prediction(ds, x, predicted)
    frames = collect(ds, x, name, [], lines, band, theory, labels)
    ax, own = _own(ax)
    for curve in frames.curves:
        if not curve.predicted:
            _draw(ax, frames.x, curve, frames.word(curve))
    for k, curve in enumerate(c for c in frames.curves if c.predicted):
        _draw(ax, frames.x, curve, "_predicted" if k else "predicted")
    for note in frames.bands:
        ax.fill_between([], [], [], color=INK, alpha=0.3, linewidth=0, label=note)
    ax.set(xlabel=label_of(ds, x, labels), xscale=xscale, yscale=yscale)
    _heading(ax, family, label_of(ds, name, labels))
    _legend([ax], own)
    return ax


@_styled
def family(profiles: Mapping[Any, xr.Dataset | xr.DataArray] | xr.Dataset, along: str | None = None, *, family: str | None = None,
           predicted: Callable[[np.ndarray], Any] | None = None, xscale: str = "linear",
           labels: Mapping[str, str] | None = None) -> Figure:
    r"""Draw the profiles along a family, and below them the same against the rescaled depth :math:`c = (l - l^*)/w`.

    If the family has a cut-off with a limit profile, the curves below approach one curve. The converse fails:
    judge by :func:`deeplimits.cutoff.verdict`.

    Args:
        profiles: as for :func:`deeplimits.cutoff.family`: a dict from parameter value to profile, or one result of
            :func:`deeplimits.cutoff.survival` with several thresholds (at most six members).
        along: name of the family parameter; needed for a dict.
        family: what is held and what is varied; the title.
        predicted: the limit profile as a function of c.
        xscale: scale of the depth axis above.
        labels: words for the family parameter.

    Returns:
        The figure with its two panels, ready for :func:`show`.

    Raises:
        ValueError: no family parameter, or more than six members.

    Example:
        >>> depth = np.arange(400)
        >>> curve = lambda scale: xr.DataArray(np.exp(-depth / scale), {"depth": depth}, name="survival")
        >>> figure = family({40: curve(40), 50: curve(50)}, along="scale", family="exponential profiles")
        >>> len(figure.axes)
        2
    """
    from deeplimits import cutoff

    members, name = _members(profiles, along)
    word = dict(labels or {}).get(name, name.replace("_", " "))
    rescaled = cutoff.collapse(profiles, along=name).curves
    figure, (above, below) = _panels(2)
    for k, (value, member) in enumerate(members):
        text = f"{word} = {value if isinstance(value, str) else number(value)}"
        frames = collect(member, "depth", _only(member), [], None, None, None, {})
        for curve in frames.curves:
            _draw(above, frames.x, Curve(text, k, False, (), curve.y, curve.low, curve.high), text)
        row = rescaled.isel({rescaled.dims[0]: k})
        _line(below, row["c"].values, row.values, k, text)
    if predicted is not None:
        c = rescaled["c"].values
        below.plot(c, np.asarray(predicted(c)), color=PREDICTED, linestyle=_dash(-1), linewidth=1.3, label="predicted limit", zorder=4)
    above.set(xlabel="depth", xscale=xscale)
    below.set(xlabel="c")
    what = label_of(member, _only(member), {})
    _heading(above, family or f"along {word}", what)
    _heading(below, "rescaled: c = (depth − cut-off depth) / window", what)
    _legend([below], True)
    return figure


@_styled
def relative_width(located: xr.Dataset, x: str | None = None, *, predicted: Callable[[np.ndarray], Any] | Sequence[float] | None = None,
                   family: str | None = None, xscale: str = "log", yscale: str = "log", labels: Mapping[str, str] | None = None,
                   ax: Axes | None = None) -> Axes:
    r"""Draw the relative width :math:`R` = window / cut-off depth along a family, with 95 % error bars and the prediction.

    Args:
        located: result of :func:`deeplimits.cutoff.family`: ``relative_width`` and ``relative_width_se`` along the family
            parameter, perhaps for several pairs of levels.
        x: the horizontal axis: the family parameter (default) or ``"depth"``, the cut-off depth of each member.
        predicted: R as a function of the values of ``x``, or one value for each member.
        family: what is held and what is varied; the title.
        xscale, yscale: ``"linear"`` or ``"log"``.
        labels: words for the family parameter.
        ax: axes to draw on; default: new ones in the style of the book.

    Returns:
        The axes, ready for :func:`show`.

    Raises:
        ValueError: ``relative_width`` or ``x`` is missing.

    Example:
        >>> located = xr.Dataset({"relative_width": ("width", [1.0, 0.5]), "relative_width_se": ("width", [0.1, 0.1])},
        ...                      {"width": [16, 64]})
        >>> describe(relative_width(located, predicted=lambda n: 4 / n**0.5))
        'Chart of relative width R against width (log scales): measured falls from 1 to 0.5 between width 16 and 64; ...'
    """
    if not isinstance(located, xr.Dataset) or "relative_width" not in located:
        raise ValueError("located must be a Dataset with a variable 'relative_width', as cutoff.family returns it")
    r = located["relative_width"]
    name = next(str(d) for d in r.dims if d != "pair")
    if x is not None and x not in located.variables:
        raise ValueError(f"x must be a variable or dimension of located, such as {name!r} or 'depth'; got {x!r}")
    along = located[x or name]
    values = along.values.astype(float)
    ax, own = _own(ax)
    pairs = [str(p) for p in located["pair"].values] if "pair" in r.dims else [None]
    for k, pair in enumerate(pairs):
        part = r if pair is None else r.sel(pair=pair)
        se = located.get("relative_width_se", xr.zeros_like(r))
        se = se if pair is None else se.sel(pair=pair)
        ax.errorbar(values, part.values, 2 * se.values, color=CURVES[k], linestyle="none", marker="osD^v*"[k], zorder=3,
                    label="measured" if pair is None else f"levels {pair.replace('-', ' to ')}")
    if predicted is not None:
        order = np.argsort(values)
        grid = np.geomspace(values.min(), values.max(), 60) if xscale == "log" else np.linspace(values.min(), values.max(), 60)
        theory = (grid, np.asarray(predicted(grid))) if callable(predicted) else (values[order], np.asarray(predicted)[order])
        ax.plot(*theory, color=PREDICTED, linestyle=_dash(-1), label="predicted")
    word = dict(labels or {}).get(x or name, label_of(located, x or name, {}) if x != "depth" else "cut-off depth")
    ax.set(xlabel=word, xscale=xscale, yscale=yscale)
    _heading(ax, family, "relative width R")
    _plain_ticks(ax)
    _legend([ax], own)
    return ax


# ---- drawing ---------------------------------------------------------------------------------------------------------

def _axes() -> Axes:
    import matplotlib.pyplot as plt

    return plt.subplots()[1]


def _own(ax: Axes | None) -> tuple[Axes, bool]:
    """The axes to draw on, and whether they are new."""
    return (_axes(), True) if ax is None else (ax, False)


def _panels(rows: int) -> tuple[Figure, Any]:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, 1, figsize=(5.8, 3.3 * rows))
    figure.get_layout_engine().set(h_pad=0.12)
    return figure, axes


def _heading(ax: Axes, title: str | None, ylabel: str) -> None:
    """Title and, below it and level to read, the name of the vertical axis."""
    ax.set_ylabel(ylabel, rotation=0, ha="left", va="bottom")
    ax.yaxis.set_label_coords(-0.08, 1.03)
    if title:
        ax.set_title(title, loc="left", x=-0.08, pad=26, fontweight="bold")


def _legend(axes: Sequence[Axes], own: bool) -> None:
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


def _dash(k: int) -> Any:
    """The dash pattern of curve ``k`` as matplotlib wants it, in line widths; −1 is the predicted curve."""
    pattern = "6 4" if k < 0 else DASHES[k]
    return (0, [float(v) / 1.6 for v in pattern.split()]) if pattern else "-"


def _line(ax: Axes, x: np.ndarray, y: np.ndarray, k: int, label: str) -> None:
    ax.plot(x, y, color=CURVES[k], linestyle=_dash(k), label=label)


def _draw(ax: Axes, x: np.ndarray, curve: Curve, label: str | None) -> None:
    y = curve.at(())
    if curve.predicted:
        ax.plot(x, y, color=PREDICTED, linestyle=_dash(-1), linewidth=1.3, zorder=4, label=label or "_predicted")
        return
    if curve.color >= len(CURVES):
        raise ValueError(f"at most {len(CURVES)} curves can be told apart; select some of them")
    if curve.low is not None and curve.high is not None:
        ax.fill_between(x, curve.low, curve.high, color=CURVES[curve.color], alpha=0.3, linewidth=0, label="_band")
    _line(ax, x, y, curve.color, label or curve.label)


def _plain_ticks(ax: Axes) -> None:
    """Plain numbers on a logarithmic axis that covers little more than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        if axis.get_scale() == "log" and high / low < 100:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda v, _: number(v)))
            axis.set_minor_formatter(NullFormatter())


def _dataset(profile: Any) -> xr.Dataset:
    if isinstance(profile, xr.DataArray):
        return profile.to_dataset(name=profile.name or "survival")
    if not isinstance(profile, xr.Dataset):
        raise TypeError(f"profile must be an xarray Dataset or DataArray, as cutoff.survival returns it; got {type(profile).__name__}")
    return profile


def _only(ds: xr.Dataset) -> str:
    """The variable that is meant when none is named."""
    names = [str(n) for n in ds.data_vars]
    if "survival" in names:
        return "survival"
    if len(names) != 1:
        raise ValueError(f"y must name the variable to draw, one of {', '.join(map(repr, names))}; got None")
    return names[0]


def _members(profiles: Any, along: str | None) -> tuple[list[tuple[Any, xr.Dataset]], str]:
    if isinstance(profiles, Mapping) and not isinstance(profiles, xr.Dataset):
        if along is None:
            raise ValueError("along must name the family parameter of a dict of profiles, for instance along='width'; got None")
        members = [(value, _dataset(member)) for value, member in profiles.items()]
    else:
        ds = _dataset(profiles)
        rest = [str(d) for d in ds[_only(ds)].dims if d != "depth"]
        along = along or (rest[0] if len(rest) == 1 else None)
        if along not in rest:
            raise ValueError(f"along must be a dimension of the profiles other than depth, one of {rest}; got {along!r}")
        members = [(v, ds.isel({along: i})) for i, v in enumerate(ds[along].values.tolist())]
    if len(members) > len(CURVES):
        raise ValueError(f"at most {len(CURVES)} profiles can be told apart; got {len(members)}: select some of them")
    return members, along


# ---- words -----------------------------------------------------------------------------------------------------------

def _figure_of(figure: Any) -> Figure:
    if hasattr(figure, "savefig"):
        return figure
    first = figure if hasattr(figure, "get_figure") else next(iter(np.ravel(np.asarray(figure, dtype=object))), None)
    if first is None or not hasattr(first, "get_figure"):
        raise TypeError(f"figure must be a matplotlib figure or axes; got {type(figure).__name__}")
    return first.get_figure()


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


# ---- SVG -------------------------------------------------------------------------------------------------------------

def _inline(svg: str, alt: str) -> str:
    """Matplotlib's SVG as an element for a page: described, with ids of its own, in the colour of the text."""
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*|<defs>\s*<style[^>]*>.*?</style>\s*</defs>\s*", "", svg, flags=re.S)
    svg = re.sub(r'(?<= d=")[^"]*', lambda m: re.sub(r"\d+\.\d{3,}", lambda n: f"{float(n[0]):.2f}".rstrip("0").rstrip("."), m[0]), svg)
    svg = re.sub(INK, "currentColor", svg, flags=re.I)
    mark = "f" + hashlib.sha256((svg + alt).encode()).hexdigest()[:8]
    svg = re.sub(r'\bid="', f'id="{mark}-', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{mark}-", svg)
    head, body = svg.split(">", 1)
    width = float(re.search(r'width="([\d.]+)pt"', head)[1]) * 4 / 3
    box = re.search(r'viewBox="([^"]*)"', head)[1]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}" role="img" '
            f'aria-label="{escape(alt)}" style="display:block;width:{width:.0f}px;max-width:100%;height:auto;margin:0 auto">'
            + re.sub(r"\s*\n\s*", " ", body).strip())
