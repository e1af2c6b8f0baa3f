// Moves the explorers: one module for pages of the book and, through anywidget, for live notebooks.
// The figure is made in Python; here its curves, texts and controls follow the chosen setting.

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

// A number as a reader writes it; `number` of wording.py says the same.
const number = (value, digits = 3) => {
  const sign = value < 0 ? "−" : "", size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e5 && Number.isInteger(size)) return sign + size;
  const [mantissa, exponent] = size.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  if (power > -4 && power < 5) return sign + Number(size.toPrecision(Math.max(digits, power + 1)));
  const scale = "10" + String(power).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
  return sign + (Number(mantissa) === 1 ? scale : `${Number(mantissa)} × ${scale}`);
};

// Differences to values; null stays.
const undo = (row) => {
  let sum = 0;
  return row.map((v) => (v === null ? null : (sum += v)));
};

// What `steps` steps of the vertical axis mean, to the axis' own precision.
const meaning = ({ low, high, log }, steps, STEPS) => {
  const place = low + ((high - low) * steps) / STEPS;
  if (log) return 10 ** place;
  const grain = 10 ** Math.ceil(Math.log10((high - low) / STEPS));
  return Number((Math.round(place / grain) * grain).toPrecision(12));
};

// Brings a figure to life; returns show(state). `changed(state)` hears the reader's own moves.
export function mount(figure, start, changed = () => {}) {
  const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const { x, y, sizes, steps } = data;
  const curves = data.curves.map((c) => ({ ...c, y: c.y.map(undo) }));
  const find = (name) => figure.querySelector(`[data-${name}]`);
  const picture = figure.querySelector(".dl-picture"), output = figure.querySelector("output");
  const reader = find("reader"), reading = find("reading"), cursor = find("cursor"), points = find("points");
  const fields = [...figure.querySelectorAll("[data-control]")];
  let state = data.state, read = null;

  const position = (over) => over.reduce((k, c) => k * sizes[c] + state[c], 0);
  const place = (name, k, d) => figure.querySelector(`[data-${name}="${k}"]`)?.setAttribute("d", d);

  function readout() {
    const i = read ?? Number(reader.value);
    const here = curves.map((c) => ({ ...c, step: c.y[position(c.over)][i], wide: c.up?.[position(c.over)][i] }));
    const text = `${x.label} ${number(x.values[i], 6)}: ` + here.map(({ label, step, wide }) => {
      if (step === null) return `${label} –`.trim();
      const band = wide && !y.log ? ` ± ${number(meaning(y, step + wide, steps) - meaning(y, step, steps), 2)}` : "";
      return `${label} ${number(meaning(y, step, steps))}${band}`.trim();
    }).join(", ");
    reader.setAttribute("aria-valuetext", text);
    if (read === null) return;
    reading.textContent = text;
    cursor.setAttribute("d", `M${x.steps[i]} 0V${steps}`);
    points.setAttribute("d", here.map(({ step }) => (step === null ? "" : `M${x.steps[i]} ${step}h0`)).join(""));
  }

  function show(next) {
    state = sizes.map((n, c) => Math.min(n - 1, Math.max(0, Math.round(Number(next?.[c] ?? state[c])) || 0)));
    for (const [k, c] of curves.entries()) {
      const row = position(c.over), ys = c.y[row];
      place("line", k, path(x.steps, ys));
      place("dots", k, dots(x.steps, ys));
      if (c.up) place("band", k, ribbon(x.steps, ys, c.up[row], (c.down ?? c.up)[row]));
    }
    fields.forEach((field, c) => {
      const input = field.querySelector("input, select"), text = data.controls[c].values[state[c]];
      if (input.matches("select")) input.selectedIndex = state[c];
      else {
        input.value = state[c];
        input.setAttribute("aria-valuetext", text);
        field.querySelector("b").textContent = text;
      }
    });
    const summary = data.summaries[position(sizes.map((_, c) => c))];
    if (output.textContent !== summary) output.textContent = summary;
    picture.setAttribute("aria-label", `${data.alt} ${summary}`);
    readout();
    return state;
  }

  fields.forEach((field, c) => field.addEventListener("input", ({ target }) => {
    const value = target.matches("select") ? target.selectedIndex : Number(target.value);
    changed(show(state.map((v, k) => (k === c ? value : v))));
  }));
  const look = (i) => {
    read = i;
    reader.value = i;
    readout();
  };
  reader.addEventListener("input", () => look(Number(reader.value)));
  reader.addEventListener("focus", () => reader.matches(":focus-visible") && look(Number(reader.value)));
  for (const kind of ["pointermove", "pointerdown"]) picture.addEventListener(kind, (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(cursor.getScreenCTM().inverse()).x;
    look(x.steps.reduce((best, q, i) => (Math.abs(q - at) < Math.abs(x.steps[best] - at) ? i : best), 0));
  });
  figure.dataset.ready = "";
  show(start ?? state);
  return show;
}

// Live notebook: anywidget hands over a model with the figure (`html`) and the setting (`state`).
export default {
  render({ model, el }) {
    let show;
    const draw = () => {
      el.innerHTML = model.get("html");
      show = mount(el.querySelector("figure"), model.get("state"), (state) => {
        model.set("state", state);
        model.save_changes();
      });
    };
    const follow = () => show(model.get("state"));
    draw();
    model.on("change:html", draw);
    model.on("change:state", follow);
    return () => {
      model.off("change:html", draw);
      model.off("change:state", follow);
    };
  },
};

// A page of the book: all figures; their settings stand in the address, e.g. #cutoff=3,1&order=0.
export function mountAll(doc = document) {
  const shown = new Map();
  const stated = () => new Map([...new URLSearchParams(location.hash.slice(1))].map(([id, v]) => [id, v.split(",")]));
  for (const figure of doc.querySelectorAll("figure[data-explorer]:not([data-ready])")) {
    const id = figure.dataset.explorer;
    shown.set(id, mount(figure, stated().get(id), (state) => {
      const kept = [...stated()].filter(([k]) => shown.has(k) && k !== id);
      const words = [...kept, [id, state]].map(([k, v]) => `${k}=${v.join(",")}`);
      history.replaceState(history.state, "", "#" + words.join("&"));
    }));
  }
  addEventListener("hashchange", () => {
    for (const [id, state] of stated()) shown.get(id)?.(state);
  });
}

// As a script of a page this mounts; anywidget imports it from a blob and calls render itself.
if (!import.meta.url.startsWith("blob:")) mountAll();
