// Curves: with bands, dots and the values under a reading line.

import { frameOf, meaning, nearest, number, pointer } from "./words.js";

// The path through the points, interrupted where a value is missing.
const path = (xs, ys) => {
  let d = "", pen = "M";
  ys.forEach((y, i) => {
    if (y !== null) d += `${pen}${xs[i]} ${y}`;
    pen = y === null ? "M" : "L";
  });
  return d;
};

// The outline of a band, one closed piece for each run of values.
const ribbon = (xs, ys, up, down) => {
  let d = "", run = [];
  for (let i = 0; i <= xs.length; i++) {
    if (i < xs.length && ys[i] !== null && up[i] !== null && down[i] !== null) run.push(i);
    else if (run.length) {
      const above = run.map((k) => `${xs[k]} ${ys[k] + up[k]}`);
      const below = run.reverse().map((k) => `${xs[k]} ${ys[k] - down[k]}`);
      d += `M${above.concat(below).join("L")}Z`;
      run = [];
    }
  }
  return d;
};

const dots = (xs, ys) => ys.map((y, i) => (y === null ? "" : `M${xs[i]} ${y}h0`)).join("");

// Differences to values; null stays.
const undo = (row) => {
  let sum = 0;
  return row.map((v) => (v === null ? null : (sum += v)));
};

export function curves(figure, data) {
  const { x, y, sizes, steps } = data;
  const all = data.curves.map((c) => ({ ...c, y: c.y.map(undo) }));
  const find = (name) => figure.querySelector(`[data-${name}]`);
  const place = (name, k, d) => figure.querySelector(`[data-${name}="${k}"]`)?.setAttribute("d", d);
  const cursor = find("cursor"), points = find("points");
  let state = data.state;

  return {
    draw(next) {
      state = next;
      for (const [k, c] of all.entries()) {
        const row = frameOf(c.over, sizes, state), ys = c.y[row];
        place("line", k, path(x.steps, ys));
        place("dots", k, dots(x.steps, ys));
        if (c.up) place("band", k, ribbon(x.steps, ys, c.up[row], (c.down ?? c.up)[row]));
      }
    },
    read([i], marked) {
      const here = all.map((c) => {
        const row = frameOf(c.over, sizes, state);
        return { label: c.label, step: c.y[row][i], wide: c.up?.[row][i] };
      });
      if (marked) {
        cursor.setAttribute("d", `M${x.steps[i]} 0V${steps}`);
        points.setAttribute("d", here.map(({ step }) => (step === null ? "" : `M${x.steps[i]} ${step}h0`)).join(""));
      }
      return `${x.label} ${number(x.values[i], 6)}: ` + here.map(({ label, step, wide }) => {
        if (step === null) return `${label} –`.trim();
        const band = wide && !y.log ? ` ± ${number(meaning(y, step + wide, steps) - meaning(y, step, steps), 2)}` : "";
        return `${label} ${number(meaning(y, step, steps))}${band}`.trim();
      }).join(", ");
    },
    under: (event) => [nearest(x.steps, pointer(cursor, event).x)],
  };
}
