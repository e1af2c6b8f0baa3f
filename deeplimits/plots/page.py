"""The style of the figures, and figures as inline SVG for the page (*Using this book*)."""

from __future__ import annotations

import functools
import hashlib
import io
import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from deeplimits.explorer import wording
from deeplimits.explorer.palette import DIVERGING, INK
from deeplimits.plots.description import describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")

#: The style sheet, for ``matplotlib.style.use``.
STYLE = Path(__file__).parents[1] / "deeplimits.mplstyle"
TWO_SIDED = "deeplimits_diverging"


class Picture:
    """A figure ready for the page: inline SVG with its alternative text. :func:`show` makes it.

    Attributes:
        svg: the drawing, a complete ``<svg>`` element.
        alt: what is seen, in words.
        caption: a line under the figure, or the empty string.

    Example:
        >>> Picture("<svg/>", "Nothing is drawn.")
        Picture: Nothing is drawn.
    """

    def __init__(self, svg: str, alt: str, caption: str = "") -> None:
        self.svg, self.alt, self.caption = svg, alt, caption

    def _repr_html_(self) -> str:
        below = f"<figcaption>{wording.html(self.caption)}</figcaption>" if self.caption else ""
        return f'<figure class="dl-figure" style="margin:1rem 0;padding:0">{self.svg}{below}</figure>'

    def __repr__(self) -> str:
        return f"Picture: {self.alt}"

    def save(self, path: str | Path) -> None:
        """Write the drawing as an SVG file, its ink in a grey that light and dark pages bear (contrast above 4:1)."""
        Path(path).write_text(self.svg.replace("currentColor", INK) + "\n", encoding="utf8")


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """The function, drawing in the style of the book."""
    @functools.wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> T:
        import matplotlib.style

        with matplotlib.style.context(STYLE):
            return draw(*args, **kwargs)

    return inner


def use_style() -> None:
    """Use the style of the book for all figures that follow, and SVG for those that a notebook shows by itself.

    For images, ``cmap="viridis"`` (the default) runs from little to much and ``cmap="deeplimits_diverging"`` to both sides of a
    middle: the same colours as the heat maps of :func:`deeplimits.explore`.

    Example:
        >>> use_style()
        >>> import matplotlib
        >>> matplotlib.rcParams["svg.hashsalt"]
        'deeplimits'
    """
    import matplotlib.style
    from matplotlib.colors import LinearSegmentedColormap

    matplotlib.style.use(STYLE)
    if TWO_SIDED not in matplotlib.colormaps:
        matplotlib.colormaps.register(LinearSegmentedColormap.from_list(TWO_SIDED, DIVERGING))
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        set_matplotlib_formats("svg")


@styled
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
    _set_indices(drawn)
    buffer = io.StringIO()
    drawn.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(drawn)
    return Picture(_inline(buffer.getvalue(), alt), alt, caption)


def _figure_of(figure: Any) -> Figure:
    if hasattr(figure, "savefig"):
        return figure
    first = figure if hasattr(figure, "get_figure") else next(iter(np.ravel(np.asarray(figure, dtype=object))), None)
    if first is None or not hasattr(first, "get_figure"):
        raise TypeError(f"figure must be a matplotlib figure or axes; got {type(figure).__name__}")
    return first.get_figure()


def _set_indices(figure: Figure) -> None:
    """A letter with an index, σ_w, as it is printed, in the letters of the text."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        letters = "mathbf" if text.get_fontweight() == "bold" else "mathregular"
        if "$" not in text.get_text():
            text.set_text(wording.INDEXED.sub(rf"$\\{letters}{{\1_{{\2}}}}$", text.get_text()))


def _rounded(svg: str) -> str:
    """Coordinates to a tenth of a point, a third of what a fine screen can show; glyphs and transforms of glyphs stay."""
    tenth = lambda m: re.sub(r"\d+\.\d{2,}", lambda n: f"{float(n[0]):.1f}".removesuffix(".0"), m[0])
    return re.sub(r'(?<= d=")[^"]*|(?<= [xy]=")[^"]*|(?<=translate\()[^)]*', tenth, svg)


def _marked(svg: str, alt: str) -> str:
    """Only the ids that something refers to, short and different from those of other figures on the page."""
    mark = "f" + hashlib.sha256((svg + alt).encode()).hexdigest()[:6]
    used = dict.fromkeys(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', svg))
    short = {name: f"{mark}{k}" for k, name in enumerate(used)}
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{short[m[1]]}"' if m[1] in short else "", svg)
    return re.sub(r'(xlink:href="#|url\(#)([^")]+)', lambda m: m[1] + short[m[2]], svg)


def _inline(svg: str, alt: str) -> str:
    """Matplotlib's SVG as an element for a page: described, with ids of its own, in the colour of the text."""
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*|<defs>\s*<style[^>]*>.*?</style>\s*</defs>\s*", "", svg, flags=re.S)
    svg = _marked(re.sub(INK, "currentColor", _rounded(svg), flags=re.I), alt)
    head, body = svg.split(">", 1)
    width = float(re.search(r'width="([\d.]+)pt"', head)[1]) * 4 / 3
    box = re.search(r'viewBox="([^"]*)"', head)[1]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}" role="img" '
            f'aria-label="{escape(alt)}" style="display:block;width:{width:.0f}px;max-width:100%;height:auto;margin:0 auto">'
            + re.sub(r"\s*\n\s*", " ", body).replace("> <", "><").strip())
