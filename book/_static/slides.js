// Slides: keys, the number of the slide, the address, the colour scheme.  Without this script the page is read by scrolling.
const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
const stored = () => { try { return localStorage.getItem("mode"); } catch { return null; } };      // the book's own choice, where there is one
const paint = () => { root.dataset.theme = ["light", "dark"].includes(stored()) ? stored() : dark.matches ? "dark" : "light"; };
paint();
dark.addEventListener("change", paint);

addEventListener("DOMContentLoaded", () => {
  const slides = [...document.querySelectorAll(".slide")], output = document.querySelector("nav output");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let at = 0;
  const show = (k) => {
    at = Math.max(0, Math.min(slides.length - 1, k));
    output.textContent = `${at + 1} / ${slides.length}`;
    if (location.hash.slice(1) !== slides[at].id) history.replaceState(null, "", "#" + slides[at].id);
  };
  const go = (k, behavior = still.matches ? "instant" : "smooth") => { show(k); slides[at].scrollIntoView({behavior, block: "start"}); };
  const named = () => slides.findIndex((s) => "#" + s.id === decodeURIComponent(location.hash));

  // The slide that holds the middle of the window is the present one, unless a key has just chosen another.
  let waiting;
  addEventListener("scroll", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const middle = innerHeight / 2;
      show(slides.findIndex((s) => s.getBoundingClientRect().bottom > middle));
    }, 120);
  }, {passive: true});
  addEventListener("hashchange", () => named() >= 0 && go(named(), "instant"));

  addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey || e.target.closest("button, a") && [" ", "Enter"].includes(e.key)) return;
    const {bottom, top} = slides[at].getBoundingClientRect(), more = bottom > innerHeight + 2, before = top < -2;
    const step = {ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1, ArrowDown: more ? 0 : 1, ArrowUp: before ? 0 : -1, " ": e.shiftKey ? -1 : more ? 0 : 1}[e.key];
    if (step) go(at + step);
    else if (e.key === "Home") go(0);
    else if (e.key === "End") go(slides.length - 1);
    else if (e.key === "f" || e.key === "F") document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.().catch(() => {});
    else return;                                                  // a slide longer than the screen scrolls first
    e.preventDefault();
  });
  for (const button of document.querySelectorAll("[data-go]")) button.addEventListener("click", () => go(at + Number(button.dataset.go)));
  document.querySelector("[data-scheme]").addEventListener("click", () => {
    const mode = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("mode", mode); localStorage.setItem("theme", mode); } catch { /* the choice lasts as long as the page */ }
    root.dataset.theme = mode;
  });
  for (const part of document.querySelectorAll("nav [hidden]")) part.hidden = false;

  for (const img of document.querySelectorAll(".picture img")) {
    const shape = () => img.closest(".slide").classList.toggle("tall", img.naturalHeight > 0.85 * img.naturalWidth);
    if (img.complete) shape(); else img.addEventListener("load", shape);
  }

  // What scrolls sideways must be reachable by keyboard, at every width; pictures far below must be there on paper.
  const reach = () => {
    const boxes = [...document.querySelectorAll("div.math")], scrolls = boxes.map((box) => box.scrollWidth > box.clientWidth);
    boxes.forEach((box, k) => { if (scrolls[k] !== (box.tabIndex === 0)) scrolls[k] ? box.setAttribute("tabindex", "0") : box.removeAttribute("tabindex"); });
    const inline = [...document.querySelectorAll(".slide mjx-container:not([display])")];        // and in a line of text
    inline.forEach((m) => m.classList.remove("wide"));
    const wide = inline.filter((m) => m.offsetWidth > (m.closest("p, li, td, figcaption") ?? m.parentElement).clientWidth);
    wide.forEach((m) => { m.classList.add("wide"); m.tabIndex = 0; });
  };
  let changing;
  const sizes = new ResizeObserver(() => { clearTimeout(changing); changing = setTimeout(reach, 150); });
  const settle = () => {
    for (const slide of innerWidth > 640 ? slides : []) {           // a picture smaller, a long statement in smaller type as far as it can be read
      const body = slide.querySelector(".body"), over = slide.offsetHeight - innerHeight;
      if (slide.matches(".picture:not(.tall)") && over > 0) { slide.style.setProperty("--less", `${Math.min(over, innerHeight / 5)}px`); continue; }
      for (let size = 0.8; slide.offsetHeight > innerHeight + 2 && size > 0.6; size -= 0.05) body.style.fontSize = `${size}em`;
    }
    document.querySelectorAll("div.math, div.math mjx-container").forEach((e) => sizes.observe(e));
    reach();
    if (named() > 0) go(named(), "instant"); else show(0);
  };
  window.MathJax?.startup?.promise ? MathJax.startup.promise.then(settle) : addEventListener("load", () => (window.MathJax?.startup?.promise ?? Promise.resolve()).then(settle));
  addEventListener("beforeprint", () => document.querySelectorAll("img[loading]").forEach((i) => { i.loading = "eager"; }));
});
