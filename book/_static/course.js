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
  // What scrolls must be reachable by keyboard (the theme does this for code and outputs).
  const reach = () => document.querySelectorAll(".pst-scrollable-table-container, div.math").forEach((box) => {
    if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", "0");
    else box.removeAttribute("tabindex");
  });
  window.MathJax?.startup?.promise ? MathJax.startup.promise.then(reach) : addEventListener("load", reach);
  addEventListener("resize", reach);
});
// On paper everything is unfolded.
addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((d) => { d.open = true; d.dataset.printed = ""; }));
addEventListener("afterprint", () => document.querySelectorAll("details[data-printed]").forEach((d) => { d.open = false; delete d.dataset.printed; }));
