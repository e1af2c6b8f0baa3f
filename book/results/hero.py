"""Draw the picture of the README and the social card: ``python book/results/hero.py`` (two minutes or so).

It writes ``book/_static/hero.svg`` and, for links in messages and networks, ``book/_static/social-card.png``.

Two photographs of the digit 3 pass through the same random network of leaky ReLU layers. Each curve is the share of two
thousand networks that still tell the two apart at one precision; the dashed orange curves are predicted, not fitted. Depth
is on a logarithmic scale, where a width on paper is a width relative to the depth.
"""

from __future__ import annotations

from pathlib import Path

import torch
import xarray as xr

import deeplimits as dl
from deeplimits.explorer.palette import INK

STATIC = Path(__file__).resolve().parents[1] / "_static"
PRECISIONS = {1e-10: "ε = 10⁻¹⁰", 1e-50: "ε = 10⁻⁵⁰", 1e-250: "ε = 10⁻²⁵⁰"}
LAYER = dl.Dense(width=64, activation="leaky_relu", slope=0.1, weight_std=1.23)
DEPTH, SAMPLES = 5_000, 2_000


def predicted(pair: torch.Tensor, depths: xr.DataArray) -> xr.DataArray:
    distance0 = float((pair[0] - pair[1]).norm())
    curves = [dl.cutoff.predict(LAYER, epsilon, distance0).survival(depths.values) for epsilon in PRECISIONS]
    return xr.DataArray(curves, {"precision": list(PRECISIONS.values()), "depth": depths})


def card(profile: xr.Dataset) -> None:
    """The same curves, larger, with the title of the book: 1200 by 630 points."""
    import matplotlib.pyplot as plt

    with plt.rc_context({"font.size": 22, "axes.linewidth": 2}):
        fig, ax = plt.subplots(figsize=(12, 6.3), facecolor="white")
        for word in PRECISIONS.values():
            ax.plot(profile["depth"], profile["survival"].sel(precision=word), linewidth=5, label=word)
        ax.set(xscale="log", xlabel="depth (layers)", ylabel="still told apart", yticks=[0, 0.5, 1])
        ax.set_title("Deep Limits", fontsize=54, fontweight="bold", loc="left", pad=24)
        ax.legend(frameon=False, loc="lower left")
        ax.spines[["top", "right"]].set_visible(False)
        fig.tight_layout()
        fig.savefig(STATIC / "social-card.png", dpi=100)


def main() -> None:
    pair = dl.datasets.digit_pair(3, seed=1, dtype=torch.float64)
    record = sorted({round(10 ** (k / 120)) for k in range(120, 444)} | {DEPTH})
    ds = dl.simulate(LAYER, pair, DEPTH, observe=["log_distance"], record=record, samples=SAMPLES, seed=0, progress=False)
    profile = dl.cutoff.survival(ds, "log_distance", list(PRECISIONS)).rename(threshold="precision")
    profile = profile.assign_coords(precision=list(PRECISIONS.values()))
    for word in PRECISIONS.values():
        print(word, dl.cutoff.locate(profile.sel(precision=word)))
    ax = dl.plots.profile(
        profile,
        lines="precision",
        predicted=predicted(pair, profile["depth"]),
        xscale="log",
        family="Two digits in 2000 random networks of width 64",
        labels={"survival": "still told apart", "precision": "ε", "depth": "depth (layers)"},
    )
    # as an image of its own it has no text around it to take its colour from: a grey that both schemes bear
    svg = dl.plots.show(ax).svg.replace('style="', f'style="color:{INK};', 1)
    svg = svg.replace(">", "><title>Share of random networks that still tell two digits apart, against depth</title>", 1)
    (STATIC / "hero.svg").write_text(svg + "\n", encoding="utf-8")
    card(profile)


if __name__ == "__main__":
    main()
