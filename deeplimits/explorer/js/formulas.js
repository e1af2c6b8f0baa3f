// Formulas that the page computes itself; theory.py takes the same steps.

import { meaning, nearest, number, pointer } from "./words.js";

const [STEP, REACH, TERMS, QUARTILE, LONGEST] = [0.08, 10, 200, 0.6744897501960817, 1000];

// Nodes on the half line, normal weights (of both halves), and the odd orthonormal Hermite polynomials at the nodes.
let kept = null;
const hermite = () => {
  if (kept) return kept;
  const z = Array.from({ length: Math.round(REACH / STEP) }, (_, i) => STEP / 2 + i * STEP);
  const weight = z.map((v) => (2 * STEP * Math.exp((-v * v) / 2)) / Math.sqrt(2 * Math.PI));
  const rows = [];
  let before = z.map(() => 0), now = z.map(() => 1);
  for (let k = 0; k < TERMS; k++) {
    const next = now.map((v, i) => (z[i] * v - Math.sqrt(k) * before[i]) / Math.sqrt(k + 1));
    [before, now] = [now, next];
    if (k % 2 === 0) rows.push(now);
  }
  return (kept = { z, weight, rows });
};
const dotted = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);

// For a unit and a variance q: E φ², E φ'², and c -> E φ(u)φ(v), the last only when asked for.
const units = {
  tanh(q) {
    const { z, weight, rows } = hermite(), value = z.map((v) => Math.tanh(Math.sqrt(q) * v));
    const square = dotted(weight, value.map((v) => v * v)), slope = dotted(weight, value.map((v) => (1 - v * v) ** 2));
    const weighted = value.map((v, i) => v * weight[i]);
    const product = () => {
      const a = rows.map((row) => dotted(row, weighted) ** 2);
      a[a.length - 1] += square - a.reduce((sum, v) => sum + v, 0);
      return (c) => a.reduceRight((sum, v) => sum * c * c + v, 0) * c;
    };
    return { square, slope, product };
  },
  erf(q) {
    const of = (c) => (2 / Math.PI) * Math.asin((2 * q * c) / (1 + 2 * q));
    return { square: of(1), slope: 4 / Math.PI / Math.sqrt(1 + 4 * q), product: () => of };
  },
  ReLU(q) {
    const of = (c) => (q / (2 * Math.PI)) * (Math.sqrt(Math.max(0, 1 - c * c)) + (Math.PI - Math.acos(c)) * c);
    return { square: q / 2, slope: 0.5, product: () => of };
  },
};

// The variance that a layer leaves as it is.
const lengthOf = (name, weight, bias) => {
  if (name === "ReLU") {
    const room = 1 - weight ** 2 / 2;
    return room <= 1e-12 ? Infinity : bias ** 2 / room;
  }
  const after = (q) => weight ** 2 * units[name](q).square + bias ** 2;
  let low = 1e-12, high = weight ** 2 + bias ** 2 + 1e-9;
  if (after(low) <= low) return 0;
  for (let k = 0; k < 60; k++) {
    const middle = (low + high) / 2;
    if (after(middle) > middle) low = middle;
    else high = middle;
  }
  return high;
};

const correlation = (name, weight, bias) => {
  const q = lengthOf(name, weight, bias), free = q === 0 || q === Infinity;
  if (name !== "ReLU" && q === 0) return { q, chi: units[name](1e-12).slope * weight ** 2, image: (c) => c };
  const { square, slope, product } = units[name](free ? 1 : q), shift = free ? 0 : bias ** 2, of = product();
  return { q, chi: weight ** 2 * slope, image: (c) => (weight ** 2 * of(c) + shift) / (weight ** 2 * square + shift) };
};

// The correlation that the map leads to.
const resting = (chi, image) => {
  if (chi <= 1 + 1e-9) return 1;
  let low = 0, high = 1 - 1e-9;
  for (let k = 0; k < 50; k++) {
    const middle = (low + high) / 2;
    if (image(middle) > middle) low = middle;
    else high = middle;
  }
  return low;
};

// The normal distribution function, by the series of the error function.
const normal = (x) => {
  if (Math.abs(x) > 8) return x > 0 ? 1 : 0;
  let term = x, sum = x;
  for (let k = 1; Math.abs(term) > 1e-17 * Math.abs(sum); k++) sum += term *= (x * x) / (2 * k + 1);
  return 0.5 + (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
};

// Each formula: the values of its controls to lines of points and a text.
export const formulas = {
  "correlation-map": ([name, weight, bias, start]) => {
    const { q, chi, image } = correlation(name, weight, bias), rest = resting(chi, image);
    const curve = Array.from({ length: 101 }, (_, k) => [k / 100, image(k / 100)]);
    const web = [[start, 0]];
    let c = start, layers = 0;
    for (; layers < LONGEST && Math.abs(c - rest) >= 0.01; layers++) {
      const after = image(c);
      if (layers < 60) web.push([c, after], [after, after]);
      c = after;
    }
    const phase = chi < 1 - 1e-9 ? "ordered" : chi > 1 + 1e-9 ? "chaotic" : "at the edge";
    const when = layers < LONGEST ? `after ${layers} layers` : `only after more than ${LONGEST} layers`;
    return {
      lines: [curve, [[0, 0], [1, 1]], web, [[rest, 0], [rest, rest]]],
      text: `χ₁ = ${number(chi)}, ${phase}: the correlation settles at c* = ${rest > 0.9995 ? "1" : number(rest)}. From ${number(start)} it is within 0.01 of that ${when}; q* = ${number(q)}.`,
    };
  },
  "cutoff-profile": ([decades, rate, spread]) => {
    const distance = decades * Math.log(10), depth = distance / rate;
    const quantile = (z) => ((Math.sqrt(z * z * spread ** 2 + 4 * rate * distance) - z * spread) / (2 * rate)) ** 2;
    const window = quantile(-QUARTILE) - quantile(QUARTILE);
    const curve = Array.from({ length: 201 }, (_, k) => [k / 100, k === 0 ? 1 : normal((distance - (rate * depth * k) / 100) / (spread * Math.sqrt((depth * k) / 100)))]);
    const [low, high] = [QUARTILE, -QUARTILE].map((z) => quantile(z) / depth);
    return {
      lines: [curve, [[low, 0], [low, 0.75]], [[high, 0], [high, 0.25]]],
      text: `Cut-off depth ${number(depth)}, window ${number(window)}, relative width ${number(window / depth)}.`,
    };
  },
};

export function formula(figure, data) {
  const { x, y, steps } = data;
  const place = (axis, v) => Math.round(((v - axis.low) / (axis.high - axis.low)) * steps);
  const [cursor, points] = ["cursor", "points"].map((name) => figure.querySelector(`[data-${name}]`));
  const outline = (line) => {
    const texts = line.map(([u, v]) => `${place(x, u)} ${place(y, v)}`).filter((t, i, all) => t !== all[i - 1]);
    return "M" + texts.join("L");
  };
  let shown = { lines: [[]], text: "" };

  return {
    draw(state) {
      shown = formulas[data.formula](data.settings.map((values, c) => values[state[c]]));
      shown.lines.forEach((line, k) => figure.querySelector(`[data-line="${k}"]`).setAttribute("d", outline(line)));
    },
    say: () => shown.text,
    read([i], marked) {
      const [u, v] = shown.lines[0][i], at = [place(x, u), place(y, v)];
      if (marked) {
        cursor.setAttribute("d", `M${at[0]} 0V${steps}`);
        points.setAttribute("d", `M${at[0]} ${at[1]}h0`);
      }
      return `${x.label} ${number(u)}: ${data.labels[0]} ${number(meaning(y, at[1], steps))}`;
    },
    under: (event) => [nearest(shown.lines[0].map(([u]) => place(x, u)), pointer(cursor, event).x)],
  };
}
