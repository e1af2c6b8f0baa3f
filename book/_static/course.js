// Mends for the theme's accessibility (checked by axe-core in tests/site).
addEventListener("DOMContentLoaded", () => {
  // The visible words of these buttons are their names; a label that says something else confuses voice control.
  for (const button of document.querySelectorAll(".search-button-field, .theme-switch-button")) button.removeAttribute("aria-label");
  for (const button of document.querySelectorAll(".theme-switch-button")) {
    const name = document.createElement("span");
    name.className = "visually-hidden";
    name.textContent = "Color mode";
    button.append(name);
  }
  // Landmarks, so that the sidebar can be skipped.
  for (const bar of document.querySelectorAll(".bd-sidebar-primary")) {
    bar.setAttribute("role", "region");
    bar.setAttribute("aria-label", "Book");
  }
  for (const fold of document.querySelectorAll(".bd-sidebar-primary details > summary")) {
    fold.setAttribute("aria-label", "Pages under " + (fold.closest("li")?.querySelector("a")?.textContent.trim() ?? "this one"));
  }
  // The search quotes the text of a page, without its furniture and the source of its formulas.
  if (typeof Search === "object") Search.htmlToText = (html, anchor) => {
    const found = new DOMParser().parseFromString(html, "text/html"), text = found.querySelector("article");
    found.querySelectorAll("article :is(.headerlink, script, style, svg, .cite-page)").forEach((e) => e.remove());
    found.querySelectorAll("article .math").forEach((e) => e.replaceWith("…"));
    return ((anchor && text?.querySelector(anchor)) || text)?.textContent.replace(/\s+/g, " ") ?? "";
  };
  // What goes on to the right fades there.
  const fade = (box, scrolls) => {
    box.onscroll = () => box.classList.toggle("dl-more", scrolls && box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
    box.onscroll();
  };
  // What scrolls must be reachable by keyboard; the theme looks at code only, and only some time after a change of width.
  const reach = () => {
    // A formula within a line that is longer than the line scrolls by itself.
    const formulas = [...document.querySelectorAll("article span.math > mjx-container")];
    const wide = formulas.map((f) => (f.firstElementChild?.getBoundingClientRect().width ?? 0) > (f.closest("p, li, td, dd, figcaption")?.clientWidth ?? Infinity));
    formulas.forEach((f, k) => f.classList.toggle("dl-wide", wide[k]));
    const boxes = [...document.querySelectorAll(".pst-scrollable-table-container, div.math, pre, div.cell_output > .output")];
    const scrolls = boxes.map((box) => box.scrollWidth > box.clientWidth);      // read all, then write: one layout, not one a box
    boxes.forEach((box, k) => {
      if (scrolls[k] !== (box.tabIndex === 0)) scrolls[k] ? box.setAttribute("tabindex", "0") : box.removeAttribute("tabindex");
      fade(box, scrolls[k]);
    });
    formulas.forEach((f, k) => fade(f, wide[k]));                               // MathJax has made them reachable
  };
  window.MathJax?.startup?.promise ? MathJax.startup.promise.then(reach) : addEventListener("load", reach);
  // The sidebar slides after a change of width: look again when the text has its final width, and after the theme has looked.
  let waiting;
  const later = () => { clearTimeout(waiting); waiting = setTimeout(reach, 350); };
  const text = document.querySelector("article") ?? document.body;
  new ResizeObserver(later).observe(text);
  addEventListener("resize", later);
});
// On paper everything is unfolded, and dark on white.
addEventListener("beforeprint", () => {
  document.querySelectorAll("details:not([open])").forEach((d) => { d.open = true; d.dataset.printed = ""; });
  const root = document.documentElement;
  if (root.dataset.theme === "dark") { root.dataset.theme = "light"; root.dataset.printed = ""; }
});
addEventListener("afterprint", () => {
  document.querySelectorAll("details[data-printed]").forEach((d) => { d.open = false; delete d.dataset.printed; });
  const root = document.documentElement;
  if ("printed" in root.dataset) { root.dataset.theme = "dark"; delete root.dataset.printed; }
});
