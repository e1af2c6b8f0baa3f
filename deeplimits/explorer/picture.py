"""The first frame of an explorer: an SVG picture and the figure around it (*Using this book*).

The curves are drawn in whole steps of the axes inside a nested ``svg``, so the script moves them by writing the very
numbers of the data; axes, ticks and text are never redrawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from deeplimits.explorer.axis import STEPS, Axis
from deeplimits.explorer.frames import Control, Curve, Frames
from deeplimits.explorer.palette import CURVES, DASHES, PREDICTED, PREDICTED_DASH

WIDTH, HEIGHT, TOP, RIGHT, BOTTOM = 520, 310, 30, 28, 54
MARKED = 24        # a curve of at most so many points shows them


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


def _key(curve: Curve, word: str) -> str:
    return (f'<li><svg class="dl-key" viewBox="0 0 30 10" width="30" height="10" aria-hidden="true">'
            f'<path {stroke(curve)} d="M1 5H29"/></svg>{escape(word)}</li>')


def stroke(curve: Curve) -> str:
    """Presentation attributes of a curve."""
    color, dash = (PREDICTED, PREDICTED_DASH) if curve.predicted else (CURVES[curve.color], DASHES[curve.color])
    return (f'fill="none" stroke="{color}" stroke-width="{1.5 if curve.predicted else 3}"'
            + (f' stroke-dasharray="{dash}"' if dash else ""))


def _spread(ticks: list[tuple[int, str]], room: float) -> list[tuple[int, str]]:
    """As many of the ticks as fit side by side in large type."""
    need = 11 * max(len(t) for _, t in ticks) + 12 if ticks else 1
    return ticks[:: max(1, -int(-need * len(ticks) // room))]


def svg(xaxis: Axis, yaxis: Axis, xs: Sequence[int], frame: list[dict], curves: Sequence[Curve], alt: str) -> str:
    """The picture: ``frame`` holds for each curve its ``y`` and perhaps ``up`` and ``down``, in steps."""
    left = max(46, 11 * max((len(t) for _, t in yaxis.ticks()), default=1) + 14)
    w, h = WIDTH - left - RIGHT, HEIGHT - TOP - BOTTOM
    across = [(left + w * q / STEPS, t) for q, t in _spread([t for t in xaxis.ticks() if 0 <= t[0] <= STEPS], w)]
    upward = [(TOP + h - h * q / STEPS, t) for q, t in yaxis.ticks() if 0 <= q <= STEPS]
    grid = "".join(f"M{left} {v:.1f}h{w}" for v, _ in upward)
    notches = "".join(f"M{v:.1f} {TOP + h}v5" for v, _ in across) + "".join(f"M{left - 5} {v:.1f}h5" for v, _ in upward)
    texts = "".join(f'<text x="{v:.1f}" y="{TOP + h + 21}" text-anchor="middle">{t}</text>' for v, t in across)
    texts += "".join(f'<text x="{left - 9}" y="{v:.1f}" dy=".35em" text-anchor="end">{t}</text>' for v, t in upward)
    long = ' class="dl-long"' if len(yaxis.label) > 44 else ""
    texts += f'<text x="4" y="17"{long}>{escape(yaxis.label)}</text>'
    texts += f'<text x="{left + w / 2:.1f}" y="{HEIGHT - 9}" text-anchor="middle">{escape(xaxis.label)}</text>'
    fixed = 'vector-effect="non-scaling-stroke"'
    drawn = "".join(f'<path data-band="{k}" fill="{CURVES[c.color]}" fill-opacity=".3" d="'
                    f'{ribbon(xs, f["y"], f["up"], f.get("down", f["up"]))}"/>'
                    for k, (c, f) in enumerate(zip(curves, frame, strict=True)) if "up" in f)
    for k, (c, f) in enumerate(zip(curves, frame, strict=True)):
        drawn += f'<path data-line="{k}" {stroke(c)} {fixed} d="{path(xs, f["y"])}"/>'
        if len(xs) <= MARKED and not c.predicted:
            drawn += (f'<path data-dots="{k}" fill="none" stroke="{CURVES[c.color]}" stroke-width="7" stroke-linecap="round"'
                      f' {fixed} d="{markers(xs, f["y"])}"/>')
    drawn += (f'<path data-cursor="" fill="none" stroke="currentColor" {fixed} d=""/>'
              f'<path data-points="" fill="none" stroke="currentColor" stroke-width="8" stroke-linecap="round" {fixed} d=""/>')
    return (f'<svg class="dl-picture" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
            f'aria-label="{escape(alt)}"><path d="{grid}" stroke="currentColor" opacity=".16" fill="none"/>'
            f'<path d="M{left} {TOP}V{TOP + h}H{WIDTH - RIGHT}{notches}" stroke="currentColor" opacity=".6" fill="none"/>'
            f'<g fill="currentColor" font-size="14" aria-hidden="true">{texts}</g>'
            f'<svg data-plot="" x="{left}" y="{TOP}" width="{w}" height="{h}" viewBox="0 0 {STEPS} {STEPS}" '
            f'preserveAspectRatio="none"><g transform="matrix(1 0 0 -1 0 {STEPS})">{drawn}</g></svg></svg>')


def _control(control: Control, i: int) -> str:
    if control.numeric:
        field = (f'<input type="range" min="0" max="{len(control.texts) - 1}" step="1" value="{i}" '
                 f'aria-valuetext="{escape(control.texts[i])}" data-lm-suppress-shortcuts="true">')
        value = f'<b aria-hidden="true">{escape(control.texts[i])}</b>'
    else:
        options = "".join(f"<option{' selected' if k == i else ''}>{escape(t)}</option>" for k, t in enumerate(control.texts))
        field, value = f'<select data-lm-suppress-shortcuts="true">{options}</select>', ""
    return f'<div data-control="{escape(control.name)}"><label><span>{escape(control.label)}</span> {field}</label>{value}</div>'


def style() -> str:
    """The style sheet of explorers, which every figure brings along."""
    return Path(__file__).with_name("explorer.css").read_text(encoding="utf8")


def figure(id: str, title: str, frames: Frames, state: Sequence[int], picture: str, summary: str, longest: str,
           data: str) -> str:
    """The whole figure: style, title, controls, legend, picture, reading line, summary and data."""
    controls = "".join(_control(c, i) for c, i in zip(frames.controls, state, strict=True))
    shown: dict[str, str] = {}
    for k, curve in enumerate(frames.curves):
        shown.setdefault("predicted" if curve.predicted else str(k), _key(curve, frames.word(curve)))
    keys = "".join(key for _, key in sorted(shown.items(), key=lambda item: item[0] == "predicted"))
    keys += "".join(f'<li><span class="dl-band"></span>{escape(b)}</li>' for b in frames.bands)
    reader = (f'<label>Read at <input type="range" data-reader="" min="0" max="{len(frames.x) - 1}" step="1" '
              f'value="{len(frames.x) // 2}" data-lm-suppress-shortcuts="true"></label>')
    return (f'<figure class="dl-explorer" data-explorer="{escape(id)}"><style>{style()}</style>'
            f"<figcaption>{escape(title)}</figcaption>"
            f'<div class="dl-controls">{controls}</div><ul class="dl-legend">{keys}</ul>{picture}'
            f'<div class="dl-reader">{reader}<span data-reading="" aria-hidden="true"></span></div>'
            f'<div class="dl-summary" data-longest="{escape(longest)}"><output>{escape(summary)}</output></div>'
            f'<script type="application/json">{data}</script></figure>')
