"""The explorers against the time a reader does not notice: one frame of the screen, 16 ms."""

from __future__ import annotations

import atexit
import functools
import time
from typing import Any

import numpy as np
import xarray as xr

from deeplimits.explorer import explore, formula, script
from tests.site import browser as tools

from .harness import Aim, Timed, Workload

FRAME, MOVES = 0.016, 60
PAGE = "<!doctype html><meta charset='utf-8'>{}<script type='module'>{}</script>"
# Moves every control to and fro; each answer includes the layout of the page.
MOVE = """(moves) => {
  const figure = document.querySelector("figure[data-explorer]");
  const inputs = [...figure.querySelectorAll(":is([data-control], [data-turn]) input")];
  for (let k = 0; k < moves; k++) {
    const input = inputs[k % inputs.length];
    input.value = Number(input.value) + (k % (2 * inputs.length) < inputs.length ? 2 : -2) * Number(input.step);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    figure.getBoundingClientRect();
  }
}"""


def heat_map() -> Any:
    """Forty by forty cells, eight frames."""
    k, place = np.arange(8.0), np.linspace(-2, 2, 40)
    waves = np.sin(place * (1 + k[:, None, None] / 4)) * np.cos(place[:, None])
    return explore(xr.Dataset({"v": (("k", "b", "a"), waves)}, {"k": k, "a": place, "b": place}), x="a", y="b", color="v")


def surface() -> Any:
    """A hyperboloid of 32 by 32 points with two paths of 100, four frames."""
    c, z, angle, step = np.linspace(0.2, 1, 4), np.linspace(-1, 1, 32), np.linspace(0, 2 * np.pi, 32), np.arange(100)
    radius = np.sqrt(z**2 + c[:, None] ** 2)[..., None]
    way = np.linspace(-1, 0.7, 100) + 0 * np.zeros((2, 1))
    grid, paths = ("c", "height", "angle"), ("c", "path", "step")
    wide = np.sqrt(way**2 + c[:, None, None] ** 2)
    turn = np.array([0.5, 2.5])[:, None] + step / 60
    ds = xr.Dataset({"x": (grid, radius * np.cos(angle)), "y": (grid, radius * np.sin(angle)), "z": (grid[1:], z[:, None] + 0 * angle),
                     "u": (paths, wide * np.cos(turn)), "v": (paths, wide * np.sin(turn)), "w": (paths[1:], way)},
                    {"c": c, "path": ["a", "b"], "step": step})
    return explore(ds, surface=("x", "y", "z"), paths=("u", "v", "w"), lines="path")


@functools.cache
def browser() -> Any:
    """One browser for all."""
    from playwright.sync_api import sync_playwright

    driver = sync_playwright().start()
    opened = driver.chromium.launch(executable_path=tools.executable(), args=tools.FLAGS)
    atexit.register(lambda: (opened.close(), driver.stop()))
    return opened


def answers(figure: Any) -> tuple[Workload, Workload]:
    """Moves of a figure in the browser, against waiting for a frame each."""
    page = browser().new_page()
    page.set_content(PAGE.format(figure.html, script()))
    page.wait_for_selector("figure[data-ready]")
    return Workload(lambda: page.evaluate(MOVE, MOVES), units=MOVES), Workload(lambda: time.sleep(10 * FRAME), units=10)


def _case(name: str, make: Any) -> Timed:
    return Timed(f"explorer: {name} moved / a frame of 16 ms", lambda: answers(make()), Aim(at_most=1), speedup=False, rounds=3)


CASES = [
    _case("heat map of 40 × 40", heat_map),
    _case("surface of 32 × 32 with two paths", surface),
    _case("correlation map computed in the page", lambda: formula("correlation-map")),
] if tools.executable() else []
