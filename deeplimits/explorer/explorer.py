"""``explore``: a labelled result as a figure that moves, in one of its forms (*Using this book*)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import xarray as xr

from deeplimits.explorer.base import Explorer, Summary
from deeplimits.explorer.curves import explore_curves
from deeplimits.explorer.frames import Band, Prediction
from deeplimits.explorer.live import Bench
from deeplimits.explorer.maps import explore_map
from deeplimits.explorer.surfaces import explore_surface


def explore(ds: xr.Dataset, x: str = "depth", y: str | Sequence[str] = "survival", sliders: Sequence[str] | None = None, *,
            lines: str | None = None, band: Band | Mapping[str, Band] = None, predicted: Prediction = None,
            color: str | None = None, cscale: str = "linear", clim: Sequence[float] | None = None, center: float | None = None,
            overlay: str | Sequence[str] | None = None, contours: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
            link: str | None = None, surface: Sequence[str] | None = None, paths: Sequence[str] | None = None, turn: tuple[int, int] = (30, 24),
            equal: bool = True,
            start: Mapping[str, Any] | None = None, xscale: str = "linear", yscale: str = "linear",
            xlim: Sequence[float] | None = None, ylim: Sequence[float] | None = None, title: str | None = None,
            xlabel: str | None = None, ylabel: str | None = None, clabel: str | None = None,
            labels: Mapping[str, str] | None = None, summary: Summary = None, alt: str | None = None, id: str | None = None,
            compute: Callable[[dict[str, Any]], xr.Dataset] | None = None) -> Explorer:
    r"""Draw a labelled result, with a slider or a choice for every dimension that is not drawn.

    Three forms, told apart by what is named:

    ==========================  ===============================================================================
    curves (also profiles)      ``explore(ds, x="depth", y="survival")``
    heat map                    ``explore(ds, x="weight_std", y="bias_std", color="depth_scale")``
    trajectories on a surface   ``explore(ds, surface=("sx", "sy", "sz"), paths=("px", "py", "pz"))``
    ==========================  ===============================================================================

    Every dimension that is not drawn becomes a control: a slider if its coordinate is numeric and ordered, a choice if it
    is text. A dimension with one entry needs none. The axes stay still while the reader moves. A profile over space or
    neurons is a curve: ``explore(ds, x="site", y="activity", sliders=["depth"])``.

    Args:
        ds: the result. Variables that are not named here may have any dimensions.
        x: dimension (or one-dimensional coordinate) of the horizontal axis, with increasing values; the axes of a heat map
            may have decreasing ones (rows of a picture, the first at the top).
        y: variable to draw, or several; of a heat map the dimension (or coordinate) of the vertical axis.
        sliders: order of the controls; None takes all dimensions in the order of the data.
        lines: dimension with one curve (or one path) for each entry, told apart by colour and dashes (at most six).
        band: of curves. None draws twice the standard error ``<y>_se``, about 95 %, where there is one; False draws none.
            A name ending in ``_se`` is a standard error (drawn twice), any other name a half-width, a pair of names two
            edges. A mapping gives one for each ``y``.
        predicted: of curves. Variable with the predicted curve (one for each ``y``), or the curve itself as a DataArray,
            or as a function of the values of ``x`` (then the same in all frames).
        color: variable of a heat map; it makes the figure one. Cells lie around the values of ``x`` and ``y``; a cell
            without a value stays blank.
        cscale: ``"linear"`` or ``"log"`` scale of the colours (0 takes the lowest colour).
        clim: limits of the colours; default: all finite values of all frames. Values beyond them, infinite ones too,
            take the last colour and read "≥ limit" or "≤ limit".
        center: a value in the middle of a two-sided palette, e.g. 1 for a ratio or 0 for a difference; the limits are then
            made symmetric about it.
        overlay: lines on a heat map: variables that depend on one axis of the map and hold places on the other, e.g. a
            critical ``weight_std`` for each ``bias_std``.
        contours: levels at which to draw lines on a heat map, of ``color`` itself (``[1, 10, 100]``) or of other variables
            (``{"chi": [1]}``: the critical line).
        link: of a heat map: the ``id`` of a :func:`~deeplimits.explorer.formula` on the same page, whose controls named like
            the axes or controls of the map then follow the point that the reader chooses in it (by a click, by dragging,
            or with the sliders "Read at").
        surface: three variables, the coordinates of a surface. Their last two dimensions are the grid (at most about 32 by
            32 points); all others are controls.
        paths: three variables, the coordinates of paths. Their last dimension runs along the path, ``lines`` names the one
            with a path for each entry, all others are controls. An open circle marks where a path begins, a disc where it
            ends. One may give a surface, paths, or both.
        turn: opening view, (azimuth, elevation) in degrees: the side the figure is seen from.
        equal: whether the three axes of a surface have the same scale.
        start: opening value of some dimensions, e.g. ``{"threshold": 1e-10}``. Default: the middle of a slider, the
            first entry of a choice.
        xscale, yscale: ``"linear"`` or ``"log"``. On a log scale values that are not positive are left out.
        xlim, ylim: limits of the axes; default: all values of all frames, [0, 1] for a statistic within [0, 1].
        title, xlabel, ylabel, clabel: plain text, with Unicode for symbols; ``clabel`` belongs to the colours.
        labels: words for dimensions and variables, e.g. ``{"threshold": "precision ε"}``; default: the attribute
            ``long_name`` with ``units``. For a surface, those of ``surface`` (or else ``paths``) name its axes.
        summary: the text under the picture. A template is filled for each frame with the variables that have one value in
            it and with the settings, e.g. ``"cut-off depth {cutoff:.0f} at ε = {threshold}"``; a function gets the
            frame as a Dataset. Default: what the picture shows.
        alt: how the picture is described before the summary; default: its title and axes.
        id: name in the page's address, unique on a page; default: made from the title.
        compute: for a live session: a function that takes a setting, ``{"rate": 0.13, "kind": "quiet"}``, and returns the
            same variables for that setting alone. The live widget then offers values between and beyond those of the
            sliders; the printed page does not mention it.

    Returns:
        An :class:`~deeplimits.explorer.Explorer`: shown by a notebook as a live widget, and as plain HTML while the
        environment variable ``DEEPLIMITS_STATIC`` is set.

    Raises:
        ValueError: a name that is not in the dataset, a dimension without a place, values that are not ordered, or a
            figure above 150 kB.
        TypeError: ``ds`` is not a Dataset, or a variable does not hold numbers.

    Example:
        >>> import numpy as np, xarray as xr
        >>> depth, rate = np.arange(0, 41), np.array([0.05, 0.1, 0.2])
        >>> decay = xr.DataArray(np.exp(-np.outer(rate, depth)), {"rate": rate, "depth": depth})
        >>> explore(decay.to_dataset(name="distance"), y="distance", start={"rate": 0.1}, title="Decay")
        Decay: At rate = 0.1, distance falls from 1 to 0.0183 between depth 0 and 40 and passes one half at 6.93.
        >>> explore(decay.to_dataset(name="distance"), y="rate", color="distance", title="Decay")
        Decay: Distance goes from 3.35 × 10⁻⁴ (depth 40, rate 0.2) to 1 (depth 0, rate 0.05).
    """
    for name, scale in (("xscale", xscale), ("yscale", yscale), ("cscale", cscale)):
        if scale not in ("linear", "log"):
            raise ValueError(f"{name} must be 'linear' or 'log'; got {scale!r}")
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"ds must be an xarray.Dataset (DataArray.to_dataset(name=...) makes one); got {type(ds).__name__}")
    if color is not None and (surface is not None or paths is not None):
        raise ValueError("color makes a heat map, surface and paths a turnable picture; give one or the other")
    form = "surface" if surface is not None or paths is not None else "map" if color is not None else "curves"
    _no_strangers(form, {"band": band, "predicted": predicted, "lines": lines, "overlay": overlay, "contours": contours, "clim": clim,
                         "center": center, "link": link})
    shared = {"labels": dict(labels or {}), "summary": summary, "alt": alt, "id": id}

    def draw(ds: xr.Dataset, start: Mapping[str, Any] | None, *, x_y_c: Sequence[Any] = (xlim, ylim, clim), box: Any = None) -> Explorer:
        if form == "surface":
            return explore_surface(ds, surface, paths, sliders, lines=lines, turn=turn, equal=equal, title=title, start=start, box=box, **shared)
        if form == "map":
            if not isinstance(y, str):
                raise ValueError(f"y must name one dimension, the vertical axis of the heat map; got {y!r}")
            return explore_map(ds, x, y, color, sliders, scales=(xscale, yscale, cscale), limits=tuple(x_y_c), center=center,
                               overlay=overlay, contours=contours, link=link, words=(title, xlabel, ylabel, clabel), start=start,
                               **shared)
        return explore_curves(ds, x, y, sliders, lines=lines, band=band, predicted=predicted, scales=(xscale, yscale),
                              limits=(x_y_c[0], x_y_c[1]), words=(title, xlabel, ylabel), start=start, **shared)

    shown = draw(ds, start)
    if compute is not None:
        if not callable(compute):
            raise TypeError(f"compute must be a function from a setting to a Dataset; got {type(compute).__name__}")
        shown.bench = Bench(ds, shown, compute, lambda found: draw(found, None, **shown.scales()))
    return shown


#: What some arguments belong to; those that are not here serve every form.
_SERVES = dict.fromkeys(("band", "predicted"), ("curves",)) | {"lines": ("curves", "surface")} | dict.fromkeys(
    ("overlay", "contours", "clim", "center", "link"), ("map",))
_WORDS = {"curves": "curves", "map": "a heat map", "surface": "a surface or paths"}


def _no_strangers(form: str, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if value is not None and form not in _SERVES[name]:
            wanted = " or ".join(_WORDS[f] for f in _SERVES[name])
            raise ValueError(f"{name} serves {wanted}, and this explorer shows {_WORDS[form]}; leave it out")
