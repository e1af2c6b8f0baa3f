// A story: the picture above the steps follows the step that the reader has reached, by scrolling or by choosing it.
// A step names its setting, data-step="depth: 40; network: ReLU, He"; the controls of the picture are moved as a reader would.
for (const story of document.querySelectorAll(".story")) {
  const figure = story.closest("section").querySelector("figure[data-explorer]");
  const { controls } = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const names = [...story.querySelectorAll("[data-step]")], steps = names.map((name) => name.closest(".story-step"));
  let now = 0;

  const set = (name) => {
    for (const [key, wanted] of name.dataset.step.split(";").map((pair) => pair.split(":").map((word) => word.trim()))) {
      const c = controls.findIndex((control) => control.name === key), k = controls[c].values.indexOf(wanted);
      const field = figure.querySelectorAll("[data-control]")[c].querySelector("input, select");
      if (field.matches("select")) field.selectedIndex = k;
      else field.value = k;
      field.dispatchEvent(new Event("input"));
    }
  };
  const buttons = names.map((name, k) => {            // without this script the step's name is plain text
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name.textContent });
    button.addEventListener("click", () => {
      go(k, true);
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      scrollBy({ top: steps[k].getBoundingClientRect().top - 0.7 * innerHeight, behavior: still ? "instant" : "smooth" });
    });
    name.replaceChildren(button);
    return button;
  });
  const mark = () => {
    buttons.forEach((button, k) => (k === now ? button.setAttribute("aria-current", "step") : button.removeAttribute("aria-current")));
    steps.forEach((step, k) => step.classList.toggle("now", k === now));
  };
  const go = (k, again = false) => {
    if (k === now && !again) return;                  // what the reader moves by hand stays until she reaches another step
    now = k;
    mark();
    set(names[k]);
  };
  mark();
  let arrived = false;                                // a page opened in the middle keeps the setting in its address
  const watch = new IntersectionObserver((seen) => {
    const k = steps.indexOf(seen.findLast((entry) => entry.isIntersecting)?.target);
    if (k >= 0 && !arrived && location.hash.includes("=")) [now] = [k], mark();
    else if (k >= 0) go(k);
    arrived = true;
  }, { rootMargin: "-75% 0px -25% 0px" });             // the line that a step has to reach
  steps.forEach((step) => watch.observe(step));
}
