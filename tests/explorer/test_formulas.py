"""Formulas that the page computes: the twin in Python against the theory of the package, the script against the twin."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest

from deeplimits import cutoff, meanfield
from deeplimits.explorer import formula, theory
from deeplimits.explorer.axis import STEPS
from deeplimits.explorer.formulas import FORMULAS
from tests.site import browser as tools

NAMES = {"tanh": "tanh", "erf": "erf", "ReLU": "relu"}
PLANE = list(itertools.product((0.5, 1.0, 1.3, 2.0, 3.0), (0.0, 0.05, 0.5, 1.0)))


@pytest.mark.parametrize("unit", NAMES)
def test_correlation_map_is_that_of_the_theory(unit: str) -> None:
    for weight, bias in PLANE:
        q, chi, image = theory.correlation(unit, weight, bias)
        point = meanfield.fixed_point(NAMES[unit], weight, bias)
        assert chi == pytest.approx(point.chi, abs=1e-8)
        assert q == pytest.approx(point.variance, abs=1e-8)
        for c in (0.0, 0.4, 0.98):
            assert image(c) == pytest.approx(meanfield.correlation_map(NAMES[unit], c, weight, bias), abs=1e-8)


def test_cobweb_rests_at_the_fixed_point() -> None:
    for weight in (0.9, 1.3, 2.0, 3.0):
        (_, _, web, rest), text = theory.correlation_lines({"activation": "tanh", "weight_std": weight, "bias_std": 0.3, "correlation": 0.5})
        point = meanfield.fixed_point("tanh", weight, 0.3)
        assert rest[0][0] == pytest.approx(point.correlation, abs=1e-6) and ("ordered" in text) == (point.chi < 1)
        for (c, low), (same, up), (after, again) in zip(web[::2], web[1::2], web[2::2], strict=False):
            assert c == same and up == after == again and (low == 0 or low == c)
            assert up == pytest.approx(meanfield.correlation_map("tanh", c, weight, 0.3), abs=1e-8)


def test_cutoff_profile_is_that_of_the_prediction() -> None:
    for decades, rate, spread in itertools.product((1, 10, 300), (0.02, 0.14, 0.5), (0.05, 0.3, 1.0)):
        lines, text = theory.cutoff_lines({"decades": decades, "rate": rate, "spread": spread})
        truth = cutoff.Prediction(decades * math.log(10), -rate, spread**2, decades * math.log(10) / rate, 0.0, 0.0)
        points = np.array(lines[0])
        np.testing.assert_allclose(points[:, 1], truth.survival(points[:, 0] * truth.depth), atol=1e-12)
        for line, level in zip(lines[1:], (0.75, 0.25), strict=True):
            assert line[0][0] * truth.depth == pytest.approx(truth.quantile(level), rel=1e-9)
    assert formula("cutoff-profile").summary == text.__class__("Cut-off depth 164, window 24.7, relative width 0.15.")


def test_figure_is_whole_and_light() -> None:
    for name in FORMULAS:
        figure = formula(name)
        assert figure.html == formula(name).html and len(figure.html.encode()) < 20_000
        assert f"<output>{figure.summary}</output>" in figure.html and 'role="img"' in figure.html
    given = formula("correlation-map", start={"activation": "erf", "weight_std": 1.31}, id="web", title="Cobweb")
    assert given.state[:2] == (1, 16) and given.id == "web" and given.title == "Cobweb"


@pytest.mark.parametrize(("call", "words"), [
    (lambda: formula("phase"), "name must be one of 'correlation-map', 'cutoff-profile'; got 'phase'"),
    (lambda: formula("cutoff-profile", start={"width": 3}), "start must name controls, some of 'decades', 'rate', 'spread'; got 'width'"),
    (lambda: formula("cutoff-profile", start={"rate": 3}), "start must hold a value of 'rate' between 0.02 and 0.5; got 3"),
    (lambda: formula("correlation-map", start={"activation": "sin"}), "start must hold a value of 'activation', one of tanh, erf, ReLU; got 'sin'"),
])
def test_errors_name_the_argument(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def pages() -> dict[str, str]:
    return {"page": "".join(formula(name).html for name in FORMULAS)}


def settings(name: str) -> list[list[Any]]:
    """Both ends and a middle of every control."""
    ends = [s.values if isinstance(s.values[0], str) else (s.values[0], s.values[len(s.values) // 3], s.values[-1]) for s in FORMULAS[name].settings]
    return [list(v) for v in itertools.product(*ends)]


@pytest.mark.browser
@pytest.mark.parametrize("name", FORMULAS)
def test_script_computes_what_python_computes(visit: tools.Visit, name: str) -> None:
    page, wanted = visit.open("page.html"), settings(name)
    found = json.loads(page.evaluate("""async ([name, all]) => {
      const { formulas } = await import("./explorer.js");
      return JSON.stringify(all.map((values) => formulas[name](values)));
    }""", [name, wanted]))
    names = [s.name for s in FORMULAS[name].settings]
    for values, got in zip(wanted, found, strict=True):
        lines, text = FORMULAS[name].compute(dict(zip(names, values, strict=True)))
        assert got["text"] == text
        for a, b in zip(got["lines"], lines, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.browser
@pytest.mark.parametrize("name", FORMULAS)
def test_every_control_moves_picture_and_summary(visit: tools.Visit, name: str) -> None:
    for width in (1280, 390):
        visit.page.set_viewport_size({"width": width, "height": 900})
        page, explorer = visit.open("page.html"), formula(name)
        figure = page.locator(f"figure[data-explorer={name}]")
        state = list(explorer.state)
        for k in range(len(state)):
            figure.locator("[data-control] :is(input, select)").nth(k).focus()
            page.keyboard.press("ArrowDown" if k == 0 and name == "correlation-map" else "ArrowRight")
            state[k] += 1
            lines, text = explorer.compute_at(tuple(state))
            assert figure.locator("output").inner_text() == text
            drawn = figure.locator("[data-line='0']").get_attribute("d")
            yaxis = explorer.formula.axes[1]
            points = np.array([[float(v) for v in p.split()] for p in drawn[1:].split("L")])
            truth = np.interp(points[:, 0] / STEPS * explorer.formula.axes[0].high, *np.array(lines[0]).T)
            np.testing.assert_allclose(yaxis.low + points[:, 1] / STEPS * (yaxis.high - yaxis.low), truth, atol=2e-3)
        assert page.evaluate("location.hash") == f"#{name}={','.join(map(str, state))}"
        figure.locator("[data-reader]").focus()
        page.keyboard.press("ArrowRight")
        assert figure.locator("[data-reading]").inner_text().count(":") == 1


@pytest.mark.browser
def test_formulas_are_accessible(visit: tools.Visit) -> None:
    page = visit.open("page.html")
    assert tools.violations(page) == []
