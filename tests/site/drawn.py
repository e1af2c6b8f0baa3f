"""What an explorer on a page draws and says, against its data decoded here: every number of the picture is asked for its place.

The curves, cells and outlines are whole steps of their axes; the axes are held to the words at their ticks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from deeplimits.explorer import coding, maps, picture, space
from deeplimits.explorer.axis import Axis
from deeplimits.explorer.formulas import FORMULAS
from deeplimits.explorer.wording import INDEXED, number

NEAR = 0.25                  # in units of the picture, of which it is 520 wide
READ = """(figure) => {
  const picture = figure.querySelector(".dl-picture"), back = picture.getScreenCTM().inverse();
  const all = (name) => [...figure.querySelectorAll(`[data-${name}]`)];
  const place = (e, x, y) => {
    const p = new DOMPoint(x, y).matrixTransform(e.getScreenCTM()).matrixTransform(back);
    return [p.x, p.y];
  };
  const drawn = {}, corners = [];
  for (const name of ["line", "band", "dots", "level", "quads", "part", "begin", "end", "box"])
    drawn[name] = all(name).map((e) => [e.getAttribute(`data-${name}`), e.getAttribute("d"), e.getAttribute("fill")]);
  for (const e of figure.querySelectorAll(":is([data-line], [data-level], [data-part], [data-quads]):first-of-type")) {
    const {width, height} = e.ownerSVGElement.viewBox.baseVal;
    corners.push([...place(e, 0, 0), ...place(e, width, height)]);
  }
  const box = picture.getBoundingClientRect(), bar = figure.querySelector("[data-bar]")?.getBBox();
  return {
    drawn, corners, bar: bar && [bar.x, bar.width],
    state: all("control").concat(all("turn")).map((f) => f.querySelector("input, select")).map((i) => (i.matches("select") ? i.selectedIndex : Number(i.value))),
    shown: all("control").map((f) => f.querySelector("b")?.textContent ?? f.querySelector("select").value),
    said: figure.querySelector("output").textContent, alt: picture.getAttribute("aria-label"),
    plot: ["x", "y", "width", "height"].map((a) => Number(figure.querySelector("[data-plot]").getAttribute(a))),
    words: [...picture.querySelectorAll("text")].map((t) => [t.textContent, ...["x", "y"].map((a) => Number(t.getAttribute(a))), t.getAttribute("text-anchor")]),
    legend: figure.querySelector(".dl-legend").textContent, size: [box.width, box.height, picture.checkVisibility()],
    // without the line of what is read, which comes when one reads
    height: figure.getBoundingClientRect().height - (figure.querySelector(".dl-reader")?.getBoundingClientRect().height ?? 0),
  };
}"""


def payload(figure: Any) -> dict[str, Any]:
    """The data that the figure carries."""
    return json.loads(figure.locator("script").text_content())


def faults(data: dict[str, Any], seen: dict[str, Any]) -> Iterator[str]:
    """What the picture, its words and its axes (as `READ` found them) have otherwise than the data."""
    width, height, visible = seen["size"]
    if not visible or min(width, height) < 100:
        yield f"not drawn: {width:.0f} × {height:.0f} pixels"
    state, count = seen["state"], len(data["sizes"])
    for control, i, text in zip(data["controls"], state, seen["shown"], strict=False):
        if text != control["values"][i]:
            yield f"'{control['name']}' shows {text!r} for {control['values'][i]!r}"
    if data["kind"] != "formula":
        said = data["summaries"][_row(range(count), data, state)]
        if printed(said) != seen["said"]:
            yield f"says {seen['said']!r} instead of {said!r}"
    if printed(seen["alt"]) != printed(f"{data['alt']} {seen['said']}"):
        yield f"is described as {seen['alt']!r}, but says {seen['said']!r}"
    left, top, w, h = seen["plot"]
    for corners in seen["corners"]:
        if not np.allclose(corners, [left, top + h, left + w, top], atol=NEAR):
            yield f"drawn between {corners}, where the axes hold {[left, top + h, left + w, top]}"
    yield from KINDS[data["kind"]](data, state, seen)


def printed(text: str) -> str:
    """The letters of a text as the page shows it: the w of σ_w is an index there.

    Example:
        >>> printed("σ_w = 1")
        'σw = 1'
    """
    return INDEXED.sub(r"\1\2", text)


def _row(over: Sequence[int], data: dict[str, Any], state: Sequence[int]) -> int:
    found = 0
    for c in over:
        found = found * data["sizes"][c] + state[c]
    return found


def _differ(what: str, drawn: Sequence[str], wanted: Sequence[str], near: int = 0) -> Iterator[str]:
    """Outlines that are not those of the data; `near` allows for so many steps where sines are rounded in another way."""
    if len(drawn) != len(wanted):
        yield f"{what}: {len(drawn)} outlines for {len(wanted)}"
        return
    for k, (a, b) in enumerate(zip(drawn, wanted, strict=True)):
        same = a == b
        if not same and near and re.sub(r"-?\d+", "", a) == re.sub(r"-?\d+", "", b):
            same = np.abs(_numbers(a) - _numbers(b)).max(initial=0) <= near
        if not same:
            yield f"{what} {k} is drawn as {a[:60]}…, in the data it is {b[:60]}…"


def _numbers(outline: str) -> np.ndarray:
    return np.array([int(v) for v in re.findall(r"-?\d+", outline)])


def _undo(differences: Sequence[int | None]) -> list[int | None]:
    total, out = 0, []
    for v in differences:
        total += v or 0
        out.append(None if v is None else total)
    return out


def curves(data: dict[str, Any], state: Sequence[int], seen: dict[str, Any]) -> Iterator[str]:
    """Lines, dots and bands in steps of the axes, from differences."""
    xs, drawn = data["x"]["steps"], {name: dict(entry[:2] for entry in entries) for name, entries in seen["drawn"].items()}
    for k, curve in enumerate(data["curves"]):
        row = _row(curve["over"], data, state)
        ys = _undo(curve["y"][row])
        wanted = {"line": picture.path(xs, ys), "dots": picture.markers(xs, ys)}
        if "up" in curve:
            wanted["band"] = picture.ribbon(xs, ys, curve["up"][row], curve.get("down", curve["up"])[row])
        for name, outline in wanted.items():
            if name != "dots" or str(k) in drawn["dots"]:
                yield from _differ(f"{name} of '{curve['label']}'", [drawn[name].get(str(k), "")], [outline])
    if not any(drawn["line"].values()):
        yield "no curve at all"
    yield from _ticks_across(seen, np.array(data["x"]["values"]), np.array(xs))
    yield from _ticks_upward(seen, data["y"])


def heat_map(data: dict[str, Any], state: Sequence[int], seen: dict[str, Any]) -> Iterator[str]:
    """Cells as levels of the colour scale, two letters each; lines as outlines."""
    x, y, colors = data["x"], data["y"], data["color"]["colors"]
    levels = np.array(coding.unpack(data["cells"][_row(data["over"], data, state)])).reshape(len(y["values"]), len(x["values"]))
    fills = seen["drawn"]["level"]
    if [fill for _, _, fill in fills] != colors:
        yield "the cells have other colours than the scale"
    yield from _differ("cells of colour", [d for _, d, _ in fills], maps.cells(levels, x["edges"], y["edges"], len(colors)))
    if not any(d for _, d, _ in fills):
        yield "no cell at all"
    for k, line in enumerate(data["lines"]):
        wanted = line["d"][_row(line["over"], data, state)]
        yield from _differ(f"line {k}", [d for name, d, _ in seen["drawn"]["line"] if name == str(k)], [wanted, wanted])
    yield from _ticks_across(seen, np.array(x["values"]), np.array(x["steps"]))
    yield from _ticks_along(seen, "end", np.array(y["values"]), np.array(y["steps"]))
    start, width = seen["bar"]
    scale = Axis(data["color"]["low"], data["color"]["high"], data["color"]["log"])
    marks = [(t, at) for t, at, up, anchor in seen["words"] if anchor == "middle" and up == maps.BAR + 31]
    yield from _misplaced("colour", [t for t, _ in marks], [at for _, at in marks],
                          [start + width * s / picture.STEPS for s in scale.steps([value(t) for t, _ in marks])])


def surface(data: dict[str, Any], state: Sequence[int], seen: dict[str, Any]) -> Iterator[str]:
    """Points as levels within the box, seen from the side that the sliders name."""
    turn, scale, drawn = state[len(data["sizes"]):], np.array(data["box"]["scale"]), {n: [d for _, d, _ in e] for n, e in seen["drawn"].items()}

    def points(entry: dict[str, Any]) -> np.ndarray:
        levels = np.array(coding.unpack(entry["points"][_row(entry["over"], data, state)])).reshape(-1, 3)
        return np.where((levels < 0).any(axis=1, keepdims=True), np.nan, (2 * levels / data["levels"] - 1) * scale)

    if data["surface"]:
        yield from _differ("cells of layer", drawn["quads"], space.quads(points(data["surface"]), data["surface"]["columns"], *turn), near=1)
    paths = [points(path) for path in data["paths"]]
    layers = [space.pieces(p, *turn) for p in paths]
    yield from _differ("path, piece", drawn["part"], [layer[k] for k in range(data["layers"]) for layer in layers], near=1)
    for name, which, times in (("begin", 0, 2), ("end", -1, 1)):
        wanted = [_spot(p, which, turn) for p in paths for _ in range(times)]
        yield from _differ(name, drawn[name], wanted, near=1)
    if not any(drawn["quads"] + drawn["part"]):
        yield "nothing in the box"
    low, high, names = data["box"]["low"], data["box"]["high"], [t for t, _, _, anchor in seen["words"] if anchor == "middle"]
    sides = ", ".join(f"{name} from {number(a)} to {number(b)}" for name, a, b in zip(names, low, high, strict=True))
    if f"Box: {sides}" not in seen["legend"]:
        yield f"the legend does not say Box: {sides}"


def _spot(points: np.ndarray, which: int, turn: Sequence[int]) -> str:
    known = points[~np.isnan(points).any(axis=1)]
    if not len(known):
        return ""
    x, y, _ = space.view(known[[which]], *turn)
    return f"M{x[0]:.0f} {y[0]:.0f}h0"


def formula(data: dict[str, Any], state: Sequence[int], seen: dict[str, Any]) -> Iterator[str]:
    """Lines computed in the page, against the same steps taken in Python: every point beside one of the other's."""
    found, axes = FORMULAS[data["formula"]], [data["x"], data["y"]]
    values = {s.name: v[i] for s, v, i in zip(found.settings, data["settings"], state, strict=True)}
    lines, text = found.compute(values)
    if printed(text) != seen["said"]:
        yield f"says {seen['said']!r} instead of {text!r}"
    drawn = {int(k): d for k, d, _ in seen["drawn"]["line"]}
    for k, line in enumerate(lines):
        wanted = np.array([[(v - a["low"]) / (a["high"] - a["low"]) * data["steps"] for v, a in zip(p, axes, strict=True)] for p in line])
        points = _numbers(drawn.get(k, "")).reshape(-1, 2)
        gaps = np.abs(points[:, None] - wanted[None]).max(axis=2) if len(points) else np.full((1, len(wanted)), np.inf)
        far = max(gaps.min(axis=0).max(), gaps.min(axis=1).max())
        if far > 1.5:
            yield f"line {k} is {far:.0f} of {data['steps']} steps from where Python has it"
    for upward, a in enumerate(axes):
        yield from _ticks_upward(seen, {**a, "log": False}) if upward else _ticks_along(
            seen, "middle", np.array([a["low"], a["high"]]), np.array([0, data["steps"]]))


KINDS = {"curves": curves, "map": heat_map, "surface": surface, "formula": formula}


def value(text: str) -> float:
    """The number that a tick shows.

    Example:
        >>> [value(t) for t in ("−0.5", "10⁻²⁰", "2 × 10³")]
        [-0.5, 1e-20, 2000.0]
    """
    text = text.replace("−", "-")
    found = re.fullmatch(r"(-?)(?:([\d.]+) × )?10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", text)
    if not found:
        return float(text)
    power = "".join("-0123456789"["⁻⁰¹²³⁴⁵⁶⁷⁸⁹".index(c)] for c in found[3])
    return float(f"{found[1]}{found[2] or 1}e{power}")


def _misplaced(what: str, texts: Sequence[str], at: Sequence[float], wanted: Sequence[float]) -> Iterator[str]:
    if len(texts) < 2:
        yield f"{what}: fewer than two values at the axis ({', '.join(texts)})"
    for text, a, b in zip(texts, at, wanted, strict=True):
        if abs(a - b) > NEAR:
            yield f"{what}: {text} stands at {a:.1f}, in the data's scale it is at {b:.1f}"


def _ticks_upward(seen: dict[str, Any], scale: dict[str, Any]) -> Iterator[str]:
    _, top, _, h = seen["plot"]
    marks = [(t, up) for t, _, up, anchor in seen["words"] if anchor == "end"]
    steps = Axis(scale["low"], scale["high"], scale["log"]).steps([value(t) for t, _ in marks])
    yield from _misplaced("up", [t for t, _ in marks], [up for _, up in marks], [top + h * (1 - s / picture.STEPS) for s in steps])


def _ticks_across(seen: dict[str, Any], values: np.ndarray, steps: np.ndarray) -> Iterator[str]:
    yield from _ticks_along(seen, "middle", values, steps)


def _ticks_along(seen: dict[str, Any], anchor: str, values: np.ndarray, steps: np.ndarray) -> Iterator[str]:
    """The ticks of an axis whose places are known at the data's values alone; the scale is linear or logarithmic, as these say."""
    left, top, w, h = seen["plot"]
    across = anchor == "middle"
    marks = [(t, x if across else y) for t, x, y, where in seen["words"] if where == anchor and (not across or abs(y - top - h - 21) < 0.1)]
    ends = values[[0, -1]], steps[[0, -1]]
    log = bool(values[0] > 0) and _bent(values, steps) > _bent(np.log(values), steps)
    measure = np.log if log else np.asarray
    slope = (ends[1][1] - ends[1][0]) / (measure(ends[0][1]) - measure(ends[0][0]))
    wanted = [ends[1][0] + slope * (measure(value(t)) - measure(ends[0][0])) for t, _ in marks]
    places = [left + w * s / picture.STEPS if across else top + h * (1 - s / picture.STEPS) for s in wanted]
    yield from _misplaced("across" if across else "up", [t for t, _ in marks], [at for _, at in marks], places)


def _bent(values: np.ndarray, steps: np.ndarray) -> float:
    """How far the places are from a straight line over the values."""
    straight = steps[0] + (steps[-1] - steps[0]) * (values - values[0]) / (values[-1] - values[0])
    return float(np.abs(straight - steps).max())
