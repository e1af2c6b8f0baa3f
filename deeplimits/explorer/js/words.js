// Numbers and outlines, as the Python side writes them (wording.py, coding.py, axis.py).

// A number as a reader writes it.
export const number = (value, digits = 3) => {
  const sign = value < 0 ? "−" : "", size = Math.abs(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "undefined" : `${sign}∞`;
  if (size === 0) return "0";
  if (size < 1e5 && Number.isInteger(size)) return sign + size;
  const [mantissa, exponent] = size.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  if (power > -4 && power < 5) return sign + Number(size.toPrecision(Math.max(digits, power + 1)));
  const scale = "10" + String(power).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
  return sign + (Number(mantissa) === 1 ? scale : `${Number(mantissa)} × ${scale}`);
};

// What so many of an axis' steps mean, to the axis' own precision.
export const meaning = ({ low, high, log }, count, steps) => {
  const place = low + ((high - low) * count) / steps;
  if (log) return 10 ** place;
  const grain = 10 ** Math.ceil(Math.log10((high - low) / steps));
  return Number((Math.round(place / grain) * grain).toPrecision(12));
};

// A changing text of the page, σ_w as a letter with its index.
export const write = (element, text) => {
  const parts = text.split(/(?<![\p{L}\d_])(\p{L})_([A-Za-z0-9α-ω]+(?:,[A-Za-z0-9]+(?!\w))*)/u).map((part, k) => {
    if (k % 3 < 2) return part;
    return Object.assign(document.createElement("sub"), { textContent: part });
  });
  element.replaceChildren(...parts);
};

// Levels from text, two letters each; -1 where there is no value.
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const VALUE = Object.fromEntries([...DIGITS].map((c, i) => [c, i]));
export const unpack = (text) => Array.from({ length: text.length / 2 }, (_, i) => 64 * VALUE[text[2 * i]] + VALUE[text[2 * i + 1]] - 1);

// The number of the frame, among those of the controls `over`, that belongs to a setting.
export const frameOf = (over, sizes, state) => over.reduce((k, c) => k * sizes[c] + state[c], 0);

// The index of the value nearest to `at`.
export const nearest = (values, at) => values.reduce((best, v, i) => (Math.abs(v - at) < Math.abs(values[best] - at) ? i : best), 0);

// Where the pointer is, in the steps of the plot that holds `element`.
export const pointer = (element, event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(element.getScreenCTM().inverse());
