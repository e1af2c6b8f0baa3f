// Surfaces and paths in space, seen from any side: drawn in layers from far to near, so that what is behind shines through.

import { frameOf, meaning, number, pointer, unpack } from "./words.js";

const BIAS = 0.12;        // a path that lies on the surface is drawn above it

// Turned by azimuth and elevation: to the right, upwards (both in steps of the picture) and towards the reader (-1 to 1).
const view = (azimuth, elevation, grain) => {
  const [a, e] = [azimuth, elevation].map((degrees) => (degrees * Math.PI) / 180);
  const [ca, sa, ce, se] = [Math.cos(a), Math.sin(a), Math.cos(e), Math.sin(e)];
  const place = (v) => Math.floor((grain / 2) * (1 + v) + 0.5);
  return ([x, y, z]) => [place(ca * y - sa * x), place(ce * z - se * (ca * x + sa * y)), ce * (ca * x + sa * y) + se * z];
};

const layerOf = (depth, layers) => Math.min(layers - 1, Math.max(0, Math.floor(((depth + 1) / 2) * layers)));

// The cells of a grid, one outline for each layer.
const quads = (points, columns, layers) => {
  const out = Array(layers).fill("");
  for (let i = 0; i + columns < points.length; i++) {
    if (i % columns === columns - 1) continue;
    const four = [points[i], points[i + 1], points[i + columns + 1], points[i + columns]];
    if (four.includes(null)) continue;
    const depth = four.reduce((sum, p) => sum + p[2], 0) / 4;
    out[layerOf(depth, layers)] += `M${four.map(([x, y]) => `${x} ${y}`).join("L")}z`;
  }
  return out;
};

// The pieces of a path, one outline for each layer.
const pieces = (points, layers) => {
  const out = Array(layers).fill("");
  let before = -1;
  points.forEach((p, i) => {
    const q = points[i + 1];
    if (!p || !q) return (before = -1);
    const layer = layerOf((p[2] + q[2]) / 2 + BIAS, layers);
    out[layer] += `${layer === before ? "" : `M${p[0]} ${p[1]}`}L${q[0]} ${q[1]}`;
    before = layer;
  });
  return out;
};

const dot = (p) => (p ? `M${p[0]} ${p[1]}h0` : "");

export function surface(figure, data) {
  const { box, grain, layers, sizes, levels } = data;
  const all = (name) => [...figure.querySelectorAll(`[data-${name}]`)];
  const [cells, parts, begins, ends, names] = ["quads", "part", "begin", "end", "axis"].map(all);
  const [edges, points] = ["box", "points"].map((name) => figure.querySelector(`[data-${name}]`));
  const unit = (triple) => (triple.some((v) => v < 0) ? null : triple.map((v, k) => ((2 * v) / levels - 1) * box.scale[k]));
  const triples = (text) => {
    const flat = unpack(text);
    return Array.from({ length: flat.length / 3 }, (_, i) => flat.slice(3 * i, 3 * i + 3));
  };
  let shown = [], held = [];

  return {
    draw(state) {
      const seen = view(...state.slice(sizes.length), grain);
      const project = (triple) => (triple ? seen(triple) : null);
      const pick = ({ over, points }) => triples(points[frameOf(over, sizes, state)]);
      if (data.surface) quads(pick(data.surface).map((t) => project(unit(t))), data.surface.columns, layers)
        .forEach((d, l) => cells[l].setAttribute("d", d));
      held = data.paths.map(pick);
      shown = held.map((path) => path.map((t) => project(unit(t))));
      shown.forEach((path, k) => {
        pieces(path, layers).forEach((d, l) => parts[l * shown.length + k].setAttribute("d", d));
        const there = path.filter(Boolean);
        for (const mark of begins.slice(2 * k, 2 * k + 2)) mark.setAttribute("d", dot(there[0]));
        ends[k].setAttribute("d", dot(there.at(-1)));
      });
      const corner = (i) => seen(box.scale.map((s, k) => ((i >> k) & 1 ? s : -s)));
      edges.setAttribute("d", [0, 1, 2, 3, 4, 5, 6, 7].flatMap((i) => [1, 2, 4].filter((b) => !(i & b)).map((b) => {
        const [p, q] = [corner(i), corner(i + b)];
        return `M${p[0]} ${p[1]}L${q[0]} ${q[1]}`;
      })).join(""));
      names.forEach((name, k) => {
        const [x, y] = seen(box.scale.map((s, j) => (j === k ? box.reach * s : -box.reach * s)));
        name.setAttribute("x", Math.min(box.width - box.room[k], Math.max(box.room[k], box.left + (box.size * x) / grain)).toFixed(1));
        name.setAttribute("y", (box.top + box.size * (1 - y / grain)).toFixed(1));
      });
    },
    read([i], marked) {
      if (marked) points.setAttribute("d", shown.map((path) => dot(path[i])).join(""));
      if (!shown.length) return "";
      const triple = (t) => (t.some((v) => v < 0) ? "–" : `(${t.map((v, k) => number(meaning({ low: box.low[k], high: box.high[k] }, v, levels))).join(", ")})`);
      return `${data.along.label} ${number(data.along.values[i], 6)}: ` + data.paths.map(({ label }, k) => `${label} ${triple(held[k][i])}`.trim()).join(", ");
    },
    under(event) {
      const at = pointer(points, event);
      let best = Infinity, found = null;
      for (const path of shown) path.forEach((p, i) => {
        const far = p ? (p[0] - at.x) ** 2 + (p[1] - at.y) ** 2 : Infinity;
        if (far < best) [best, found] = [far, [i]];
      });
      return found;
    },
    // Turned by dragging, or by arrow keys while the picture has the focus.
    turn(picture, state, set) {
      const by = (start, right, up) => {
        const [azimuth, elevation] = start.slice(sizes.length);
        const even = (v) => 2 * Math.round(v / 2);
        const around = (((even(azimuth + right) + 180) % 360) + 360) % 360 - 180;
        set([...start.slice(0, sizes.length), around, Math.min(90, Math.max(-90, even(elevation + up)))]);
      };
      let from = null;
      picture.addEventListener("pointerdown", (event) => {
        from = [event.clientX, event.clientY, state()];
        picture.setPointerCapture(event.pointerId);
      });
      picture.addEventListener("pointermove", (event) => from && by(from[2], (from[0] - event.clientX) / 2, (event.clientY - from[1]) / 2));
      for (const kind of ["pointerup", "pointercancel"]) picture.addEventListener(kind, () => (from = null));
      picture.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [-6, 0], ArrowRight: [6, 0], ArrowUp: [0, 6], ArrowDown: [0, -6] }[event.key];
        if (!step) return;
        event.preventDefault();
        by(state(), ...step);
      });
    },
  };
}
