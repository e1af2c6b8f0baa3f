// Tips: what a cross-reference points to, and what the letters of a formula mean, beside the pointer or the focus.
// Nothing is loaded before it is asked for; without this script every link still leads where it leads.
{
const DELAY = 250;                                             // milliseconds: passing over a link is no question
const LINKS = "article a.reference.internal[href*='#'], article a.footnote-reference[href*='#']";
const WHOLE = ".proof, .exercise, dl.glossary dd, .math, figure, table, .admonition, dl.citation > div, .citation dd, div.citation, dl.py";
const SCRIPT = document.currentScript;
let symbols, tip, owner, timer;

const box = () => {
  tip ??= document.body.appendChild(Object.assign(document.createElement("div"), { id: "tip", role: "tooltip", hidden: true }));
  return tip;
};
const hide = () => {
  clearTimeout(timer);
  owner?.removeAttribute("aria-describedby");
  owner = undefined;
  if (tip) tip.hidden = true;
};
const place = (anchor) => {
  const at = anchor.getClientRects()[0] ?? anchor.getBoundingClientRect(), size = tip.getBoundingClientRect();
  const below = at.bottom + size.height + 8 < innerHeight || at.top < size.height + 8;
  tip.style.left = `${Math.max(8, Math.min(at.left, document.documentElement.clientWidth - size.width - 8)) + scrollX}px`;
  tip.style.top = `${(below ? at.bottom + 6 : at.top - size.height - 6) + scrollY}px`;
};
const show = async (anchor, content) => {
  if (owner !== anchor || !content) return;
  box().replaceChildren(content);
  tip.querySelectorAll("[id]").forEach((n) => n.removeAttribute("id"));
  tip.querySelectorAll("a.headerlink, button, details, script").forEach((n) => n.remove());
  tip.hidden = false;
  const raw = [...tip.querySelectorAll(".math")].filter((n) => !n.querySelector("mjx-container"));
  if (raw.length && window.MathJax?.typesetPromise) await MathJax.typesetPromise(raw).catch(() => 0);
  if (owner !== anchor) return;
  anchor.setAttribute("aria-describedby", "tip");
  place(anchor);
};

const pages = new Map();
const page = (url) => {                                        // this page as it stands; another as the server has it
  if (url.pathname === location.pathname) return document;
  if (!pages.has(url.pathname)) pages.set(url.pathname, fetch(url.pathname).then((r) => (r.ok ? r.text() : ""))
    .then((text) => new DOMParser().parseFromString(text, "text/html")).catch(() => undefined));
  return pages.get(url.pathname);
};
const target = async (link) => {
  const url = new URL(link.href), found = (await page(url))?.getElementById(decodeURIComponent(url.hash.slice(1)));
  if (!found) return;
  const whole = found.matches("dt") ? found.nextElementSibling : found.matches("section") ? found.querySelector("p") : found.closest(WHOLE) ?? found.querySelector(WHOLE) ?? found;
  return whole?.textContent.trim() ? whole.cloneNode(true) : undefined;
};

const meanings = async (formula) => {
  const item = [...(window.MathJax?.startup?.document?.math ?? [])].find((m) => m.typesetRoot === formula);
  if (!item) return;
  symbols ??= fetch(new URL("symbols.json", SCRIPT.src)).then((r) => r.json()).catch(() => []);
  const letters = (await symbols).filter((s) => new RegExp(s.pattern).test(item.math));
  if (!letters.length) return;
  const list = document.createElement("dl");
  for (const { symbol, code, meaning } of letters) {
    const name = list.appendChild(document.createElement("dt")), text = list.appendChild(document.createElement("dd"));
    name.innerHTML = `<span class="math notranslate nohighlight">\\(${symbol}\\)</span>`;
    text.innerHTML = meaning + (code ? ` <code>${code}</code>` : "");
  }
  const all = document.createElement("div");
  all.append(Object.assign(document.createElement("p"), { textContent: "As a rule in this book:" }), list);
  return all;
};

const ask = (anchor, content) => {
  if (owner === anchor) return;
  hide();
  owner = anchor;
  timer = setTimeout(async () => show(anchor, await content(anchor)), DELAY);
};
let last = "";
const over = (event) => {
  const place = `${event.screenX},${event.screenY}`;           // a page that scrolls under a resting pointer asks nothing
  if (event.type === "mouseover" && place === last) return;
  if (event.type === "mouseover") last = place;
  const link = event.target.closest?.(LINKS), formula = event.target.closest?.("article mjx-container");
  if (link) ask(link, target);
  else if (formula) ask(formula, meanings);
  else if (!event.target.closest?.("#tip")) hide();
};
addEventListener("mouseover", over);
addEventListener("focusin", over);
addEventListener("keydown", (event) => event.key === "Escape" && hide());
addEventListener("scroll", () => owner && tip && !tip.hidden && place(owner), { passive: true });
}
