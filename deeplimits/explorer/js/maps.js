// Heat maps: cells of equal colour as one outline, lines above them, the value of the cell under a reading point.

import { frameOf, meaning, nearest, number, pointer, unpack } from "./words.js";

// One outline for each colour: runs of cells of that colour, row by row.
const cells = (levels, across, upward, shades, most) => {
  const out = Array(shades).fill(""), n = across.length - 1;
  for (let j = 0; j + 1 < upward.length; j++) {
    const shade = levels.slice(j * n, j * n + n).map((v) => (v < 0 ? -1 : Math.floor((v * shades) / (most + 1))));
    for (let i = 0, k; i < n; i = k) {
      for (k = i + 1; k < n && shade[k] === shade[i]; k++);
      const w = across[k] - across[i], h = upward[j + 1] - upward[j];
      if (shade[i] >= 0) out[shade[i]] += `M${across[i]} ${upward[j]}h${w}v${h}h-${w}z`;
    }
  }
  return out;
};

export function map(figure, data) {
  const { x, y, color, sizes, steps, levels } = data;
  const fills = [...figure.querySelectorAll("[data-level]")];
  const both = (name, d) => figure.querySelectorAll(`[data-${name}]`).forEach((e) => e.setAttribute("d", d));
  const cursor = figure.querySelector("[data-cursor]");
  let shown = [];

  return {
    draw(state) {
      shown = unpack(data.cells[frameOf(data.over, sizes, state)]);
      cells(shown, x.edges, y.edges, fills.length, levels).forEach((d, k) => fills[k].setAttribute("d", d));
      data.lines.forEach(({ over, d }, k) => both(`line="${k}"`, d[frameOf(over, sizes, state)]));
    },
    read([i, j], marked) {
      if (marked) both("cursor", `M${x.steps[i]} 0V${steps}M0 ${y.steps[j]}H${steps}`);
      const level = shown[j * x.values.length + i];
      const sign = level === 0 && color.beyond[0] ? "≤ " : level === levels && color.beyond[1] ? "≥ " : "";
      const value = level < 0 ? "no value" : sign + number(meaning(color, level, levels));
      return `${x.label} ${number(x.values[i], 6)}, ${y.label} ${number(y.values[j], 6)}: ${color.label} ${value}`;
    },
    under(event) {
      const at = pointer(cursor, event);
      return [nearest(x.steps, at.x), nearest(y.steps, at.y)];
    },
  };
}
