// Moves the explorers: one module for pages of the book and, through anywidget, for live notebooks.
// The figure is made in Python; here its picture, texts and controls follow the chosen setting.

import { curves } from "./curves.js";
import { formula } from "./formulas.js";
import { map } from "./maps.js";
import { surface } from "./surfaces.js";
import { frameOf, nearest, write } from "./words.js";

const kinds = { curves, formula, map, surface };

// Brings a figure to life; returns show(state). `changed(state)` hears the reader's own moves; show.computed(answer) draws a
// frame that is not on the grid, until a control moves again.
export function mount(figure, start, changed = () => {}) {
  const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const home = kinds[data.kind](figure, data), count = data.sizes.length;
  const picture = figure.querySelector(".dl-picture"), output = figure.querySelector("output");
  const readers = [...figure.querySelectorAll("[data-reader]")], reading = figure.querySelector("[data-reading]");
  const fields = [...figure.querySelectorAll("[data-control], [data-turn]")];
  const inputs = fields.map((field) => field.querySelector("input, select"));
  const ends = inputs.map((input) => (input.matches("select") ? [0, input.length - 1] : [Number(input.min), Number(input.max)]));
  let state = data.state, form = home, beyond = null, marked = false, said = null;

  function readout() {
    const text = form.read(readers.map((reader) => Number(reader.value)), marked);
    for (const reader of readers) reader.setAttribute("aria-valuetext", text);
    if (marked) write(reading, text);
  }

  function draw() {
    form.draw(beyond ? state.slice(count) : state);
    const summary = beyond ?? form.say?.() ?? data.summaries[frameOf(data.sizes.map((_, c) => c), data.sizes, state)];
    if (said !== summary) write(output, (said = summary));
    picture.setAttribute("aria-label", `${data.alt} ${summary}`);
    readout();
  }

  function show(next) {
    const before = state;
    state = ends.map(([low, high], c) => Math.min(high, Math.max(low, Math.round(Number(next?.[c] ?? state[c])) || 0)));
    if (state.slice(0, count).some((v, c) => v !== before[c])) [form, beyond] = [home, null];
    inputs.forEach((input, c) => {
      if (input.matches("select")) input.selectedIndex = state[c];
      else {
        const text = data.controls[c]?.values[state[c]] ?? `${state[c]}°`;
        input.value = state[c];
        input.setAttribute("aria-valuetext", text);
        fields[c].querySelector("b").textContent = text;
      }
    });
    draw();
    return state;
  }

  show.computed = ({ payload, summary }) => {
    [form, beyond] = [kinds[payload.kind](figure, payload), summary];
    draw();
  };

  inputs.forEach((input, c) => input.addEventListener("input", () => {
    const value = input.matches("select") ? input.selectedIndex : Number(input.value);
    changed(show(state.map((v, k) => (k === c ? value : v))));
  }));
  const look = (at) => {
    at?.forEach((value, k) => (readers[k].value = value));
    marked = true;
    readout();
  };
  // What is chosen in a map sets the controls of the same names in the formula that it is linked with.
  const choose = () => data.link && figure.dispatchEvent(new CustomEvent("choose", { detail: { id: data.link.id, wanted: new Map([
    ...data.controls.map(({ name, values }, c) => [name, values[state[c]]]),
    ...data.link.names.map((name, k) => [name, data["xy"[k]].values[Number(readers[k].value)]])]) } }));
  show.near = (wanted) => changed(show(data.controls.map(({ name }, c) => {
    const values = data.settings[c], value = wanted.get(name) ?? values[state[c]];
    if (typeof values[0] === "number") return nearest(values, Number(value));
    const found = values.findIndex((word) => word.toLowerCase() === String(value).toLowerCase());
    return found < 0 ? state[c] : found;
  })));
  for (const reader of readers) {
    reader.addEventListener("input", () => (look(), choose()));
    reader.addEventListener("focus", () => reader.matches(":focus-visible") && look());
  }
  for (const kind of ["pointermove", "pointerdown"]) picture.addEventListener(kind, (event) => {
    look(form.under(event));
    if (event.buttons) choose();
  });
  home.turn?.(picture, () => state, (next) => changed(show(next)));
  figure.dataset.ready = "";
  show(start ?? state);
  return show;
}

// In a live notebook alone: fields for a setting that the sliders do not have. `ask(setting)` sends it off; returns what takes the answer.
const bench = (figure, offers, ask, shown) => {
  const element = (name, more, ...within) => {
    const made = Object.assign(document.createElement(name), more);
    made.append(...within);
    return made;
  };
  const fields = offers.map(({ name, label, value, words }) => {
    const field = words.length ? element("select", { name }, ...words.map((word) => element("option", { textContent: word })))
      : element("input", { name, type: "number", step: "any", required: true });
    field.value = value;
    field.dataset.lmSuppressShortcuts = "true";
    return element("label", {}, `${label} `, field);
  });
  const said = element("span", { role: "status" });
  const form = element("form", {}, ...fields, element("button", { textContent: "Compute" }), said);
  figure.querySelector(".dl-controls").after(element("details", { className: "dl-bench" },
    element("summary", { textContent: "Compute a setting of your own" }), form));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    said.textContent = "Computing …";
    ask(Object.fromEntries(offers.map(({ name, words }) => [name, words.length ? form.elements[name].value : Number(form.elements[name].value)])));
  });
  return (answer) => {
    said.textContent = answer.error ?? "";
    if (answer.payload) shown.computed(answer);
  };
};

// Live notebook: anywidget hands over a model with the figure (`html`), the setting (`state`) and, if it can compute, its `offers`.
export default {
  render({ model, el }) {
    let show, answered;
    const draw = () => {
      el.innerHTML = model.get("html");
      const figure = el.querySelector("figure"), offers = model.get("offers") ?? [];
      show = mount(figure, model.get("state"), (state) => {
        model.set("state", state);
        model.save_changes();
      });
      answered = offers.length && bench(figure, offers, (setting) => {
        model.set("ask", { setting, count: (model.get("ask")?.count ?? 0) + 1 });
        model.save_changes();
      }, show);
    };
    const heard = { html: draw, state: () => show(model.get("state")), answer: () => answered && answered(model.get("answer")) };
    draw();
    for (const [name, hear] of Object.entries(heard)) model.on(`change:${name}`, hear);
    return () => {
      for (const [name, hear] of Object.entries(heard)) model.off(`change:${name}`, hear);
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
    figure.addEventListener("choose", ({ detail }) => shown.get(detail.id)?.near(detail.wanted));
  }
  addEventListener("hashchange", () => {
    for (const [id, state] of stated()) shown.get(id)?.(state);
  });
}

// As a script of a page this mounts; anywidget imports it from a blob and calls render itself.
if (!import.meta.url.startsWith("blob:")) mountAll();
