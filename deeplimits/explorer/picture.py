"""The first frame of curves, as SVG; axes and ticks for every flat picture (*Using this book*).

The curves are drawn in whole steps of the axes inside a nested ``svg``, so the script moves them by writing the very
numbers of the data; axes, ticks and text are never redrawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from deeplimits.explorer import wording
from deeplimits.explorer.axis import STEPS, Axis
from deeplimits.explorer.frames import Curve
from deeplimits.explorer.palette import CURVES, DASHES, PREDICTED, PREDICTED_DASH

WIDTH, HEIGHT, TOP, RIGHT, BOTTOM = 520, 310, 30, 28, 54
#: JupyterLab would take the arrow keys of what does not ask to keep them.
KEYS = 'data-lm-suppress-shortcuts="true"'
MARKED = 24        # a curve of at most so many points shows them
FIXED = 'vector-effect="non-scaling-stroke"'     # widths in pixels, whatever the axes


def path(xs: Sequence[int], ys: Sequence[int | None]) -> str:
    """The path through the points, interrupted where a value is missing; the script has the same function.

    Example:
        >>> path([0, 10, 20, 30], [5, None, 7, 8])
        'M0 5M20 7L30 8'
    """
    out, pen = [], "M"
    for x, y in zip(xs, ys, strict=True):
        if y is not None:
            out.append(f"{pen}{x} {y}")
        pen = "M" if y is None else "L"
    return "".join(out)


def trace(xs: Sequence[int | None], ys: Sequence[int | None]) -> str:
    """The path through points either of whose places may be missing, with equal neighbours drawn once.

    Example:
        >>> trace([0, 0, None, 9], [5, 5, 7, 8])
        'M0 5M9 8'
    """
    out, pen, last = [], "M", None
    for point in zip(xs, ys, strict=True):
        if None in point:
            pen, last = "M", None
        elif point != last:
            out.append(f"{pen}{point[0]} {point[1]}")
            pen, last = "L", point
    return "".join(out)


def ribbon(xs: Sequence[int], ys: Sequence[int | None], up: Sequence[int | None], down: Sequence[int | None]) -> str:
    """The outline of a band: ``up`` above and ``down`` below the curve, one closed piece for each run of values.

    Example:
        >>> ribbon([0, 10], [5, 6], [1, 1], [2, 2])
        'M0 6L10 7L10 4L0 3Z'
    """
    out, run = "", []
    for x, y, u, d in [*zip(xs, ys, up, down, strict=True), (0, None, None, None)]:
        if y is not None and u is not None and d is not None:
            run.append((x, y + u, y - d))
        elif run:
            edge = [f"{x} {h}" for x, h, _ in run] + [f"{x} {low}" for x, _, low in reversed(run)]
            out, run = out + "M" + "L".join(edge) + "Z", []
    return out


def markers(xs: Sequence[int], ys: Sequence[int | None]) -> str:
    """Dots at the points: strokes of no length with round ends."""
    return "".join(f"M{x} {y}h0" for x, y in zip(xs, ys, strict=True) if y is not None)


def key(curve: Curve, word: str) -> str:
    """A curve's entry in the legend."""
    return item(f'<svg class="dl-key" viewBox="0 0 30 10" width="30" height="10" aria-hidden="true">'
                f'<path {stroke(curve)} d="M1 5H29"/></svg>', word)


def item(sign: str, word: str) -> str:
    """An entry of the legend: a sign and what it means."""
    return f"<li>{sign}<span>{wording.html(word)}</span></li>"


def stroke(curve: Curve) -> str:
    """Presentation attributes of a curve."""
    color, dash = (PREDICTED, PREDICTED_DASH) if curve.predicted else (CURVES[curve.color], DASHES[curve.color])
    return (f'fill="none" stroke="{color}" stroke-width="{1.5 if curve.predicted else 3}"'
            + (f' stroke-dasharray="{dash}"' if dash else ""))


def spread(ticks: list[tuple[int, str]], room: float) -> list[tuple[int, str]]:
    """As many of the ticks as fit side by side in large type."""
    need = 11 * max(len(t) for _, t in ticks) + 12 if ticks else 1
    return ticks[:: max(1, -int(-need * len(ticks) // room))]


def axes(xaxis: Axis, yaxis: Axis, height: int = HEIGHT, top: int = TOP, ylabel_at: int = 17) -> tuple[str, str]:
    """Grid, axes and their texts, as SVG; and the attributes of the nested ``svg`` that spans the plot."""
    left = max(46, 11 * max((len(t) for _, t in yaxis.ticks()), default=1) + 14)
    w, h = WIDTH - left - RIGHT, height - top - BOTTOM
    across = [(left + w * q / STEPS, t) for q, t in spread([t for t in xaxis.ticks() if 0 <= t[0] <= STEPS], w)]
    upward = [(top + h - h * q / STEPS, t) for q, t in yaxis.ticks() if 0 <= q <= STEPS]
    grid = "".join(f"M{left} {v:.1f}h{w}" for v, _ in upward)
    notches = "".join(f"M{v:.1f} {top + h}v5" for v, _ in across) + "".join(f"M{left - 5} {v:.1f}h5" for v, _ in upward)
    texts = "".join(f'<text x="{v:.1f}" y="{top + h + 21}" text-anchor="middle">{t}</text>' for v, t in across)
    texts += "".join(f'<text x="{left - 9}" y="{v:.1f}" dy=".35em" text-anchor="end">{t}</text>' for v, t in upward)
    texts += label(4, ylabel_at, yaxis.label)
    texts += f'<text x="{left + w / 2:.1f}" y="{height - 9}" text-anchor="middle">{wording.svg(xaxis.label)}</text>'
    around = (f'<path d="{grid}" stroke="currentColor" opacity=".16" fill="none"/>'
              f'<path d="M{left} {top}V{top + h}H{WIDTH - RIGHT}{notches}" stroke="currentColor" opacity=".6" fill="none"/>'
              f'<g fill="currentColor" font-size="14" aria-hidden="true">{texts}</g>')
    return around, f'x="{left}" y="{top}" width="{w}" height="{h}"'


def label(x: float, y: float, text: str) -> str:
    """Words beside an axis, in smaller type if there are many."""
    return f'<text x="{x}" y="{y}"{" class=" + chr(34) + "dl-long" + chr(34) if len(text) > 44 else ""}>{wording.svg(text)}</text>'


def plot(place: str, drawn: str, steps: int = STEPS) -> str:
    """What is drawn in steps of the axes, upwards."""
    return (f'<svg data-plot="" {place} viewBox="0 0 {steps} {steps}" preserveAspectRatio="none">'
            f'<g transform="matrix(1 0 0 -1 0 {steps})">{drawn}</g></svg>')


def whole(parts: str, alt: str, height: int = HEIGHT, more: str = "") -> str:
    """The picture around its parts."""
    return (f'<svg class="dl-picture" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
            f'aria-label="{escape(alt)}"{more}>{parts}</svg>')


def svg(xaxis: Axis, yaxis: Axis, xs: Sequence[int], frame: list[dict], curves: Sequence[Curve], alt: str) -> str:
    """The picture: ``frame`` holds for each curve its ``y`` and perhaps ``up`` and ``down``, in steps."""
    around, place = axes(xaxis, yaxis)
    drawn = "".join(f'<path data-band="{k}" fill="{CURVES[c.color]}" fill-opacity=".3" d="'
                    f'{ribbon(xs, f["y"], f["up"], f.get("down", f["up"]))}"/>'
                    for k, (c, f) in enumerate(zip(curves, frame, strict=True)) if "up" in f)
    for k, (c, f) in enumerate(zip(curves, frame, strict=True)):
        drawn += f'<path data-line="{k}" {stroke(c)} {FIXED} d="{path(xs, f["y"])}"/>'
        if len(xs) <= MARKED and not c.predicted:
            drawn += (f'<path data-dots="{k}" fill="none" stroke="{CURVES[c.color]}" stroke-width="7" stroke-linecap="round"'
                      f' {FIXED} d="{markers(xs, f["y"])}"/>')
    drawn += (f'<path data-cursor="" fill="none" stroke="currentColor" {FIXED} d=""/>'
              f'<path data-points="" fill="none" stroke="currentColor" stroke-width="8" stroke-linecap="round" {FIXED} d=""/>')
    return whole(around + plot(place, drawn), alt)
