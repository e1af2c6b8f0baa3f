"""Which depths train? Digits, width 32, for *Choosing depth and initialization*.

Three runs, each with several seeds, all networks of one depth trained at once as one batched program:

- ``accuracy``: initializations against depths 2 to 80;
- ``family``: ordered tanh layers with σ_b = 0.05 and five values of σ_w, on a finer grid of depths;
- ``pair``: He and Lyapunov on 24 further seeds, and Lyapunov with the rate raised in proportion to its weights.

Adam, rate 1e-3, 100 steps of 128 images, readout of variance 1/width, no learning-rate search. About three minutes on one core:

    .venv/bin/python book/results/trainability.py

It writes ``trainability.nc`` beside itself.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import torch
import xarray as xr

import deeplimits as dl

WIDTH, STEPS, BATCH, RATE = 32, 100, 128, 1e-3
SEEDS, FURTHER = 6, 24
DEPTHS = [2, 5, 10, 20, 40, 80]
FINE = [2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 60]
D = dl.Dense
INITIALIZATIONS = {
    "tanh, ordered 0.9/0.05": D(WIDTH, "tanh", 0.9, 0.05),
    "tanh, critical 1.0/0": D(WIDTH, "tanh", 1.0),
    "tanh, chaotic 2/0.05": D(WIDTH, "tanh", 2.0, 0.05),
    "tanh, orthogonal 1.0": D(WIDTH, "tanh", 1.0, weights="orthogonal"),
    "tanh, orthogonal 1.05": D(WIDTH, "tanh", 1.05, weights="orthogonal"),
    "ReLU, LeCun": D(WIDTH, "relu", "lecun"),
    "ReLU, He": D(WIDTH, "relu", "he"),
    "ReLU, Lyapunov": D(WIDTH, "relu", "lyapunov"),
    "ReLU, orthogonal He": D(WIDTH, "relu", "he", weights="orthogonal"),
}
FAMILY = [0.5, 0.7, 0.8, 0.9, 0.95]


def start(layer: dl.Dense, depth: int, seed: int) -> list[torch.Tensor]:
    """Parameters of one network: weights and biases of every layer, then the readout."""
    g = torch.Generator(device="cpu").manual_seed(seed)
    parameters: list[torch.Tensor] = []
    for k in range(depth):
        rows = 64 if k == 0 else WIDTH
        weight = torch.randn(rows, WIDTH, generator=g, device="cpu")
        if layer.weights == "orthogonal":
            q, r = torch.linalg.qr(weight)
            weight = q * torch.sign(torch.diagonal(r)) * layer.weight_std
        else:
            weight = weight * layer.weight_std / math.sqrt(rows)
        parameters += [weight, layer.bias_std * torch.randn(1, WIDTH, generator=g, device="cpu")]
    readout = torch.randn(WIDTH, 10, generator=g, device="cpu") / math.sqrt(WIDTH)
    return [*parameters, readout, torch.zeros(1, 10, device="cpu")]


def forward(parameters: list[torch.Tensor], x: torch.Tensor, relu: bool) -> torch.Tensor:
    for weight, bias in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
        x = torch.baddbmm(bias, x, weight)
        x = torch.relu(x) if relu else torch.tanh(x)
    return torch.baddbmm(parameters[-1], x, parameters[-2])


def train(layers: list[dl.Dense], depth: int, seeds: list[int], steps: int = STEPS, rate: float = RATE) -> tuple[torch.Tensor, torch.Tensor]:
    """Test accuracy and last training loss, shape (layers, seeds); the layers share one activation."""
    data, test = (dl.datasets.digits(part, dtype=torch.float32) for part in ("train", "test"))
    each = [start(layer, depth, 1000 * seed + depth) for layer in layers for seed in seeds]
    parameters = [torch.stack(p).requires_grad_() for p in zip(*each, strict=True)]
    relu, optimizer = layers[0].activation.name == "relu", torch.optim.Adam(parameters, rate, foreach=True)
    orders = [torch.Generator(device="cpu").manual_seed(seed) for seed in seeds]
    for _ in range(steps):
        picked = torch.stack([torch.randint(len(data), (BATCH,), generator=g, device="cpu") for g in orders]).repeat(len(layers), 1)
        out = forward(parameters, data.images[picked], relu)
        losses = torch.nn.functional.cross_entropy(out.flatten(0, 1), data.labels[picked].flatten(), reduction="none").view(len(each), -1).mean(1)
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
    with torch.no_grad():
        guess = forward(parameters, test.images.expand(len(each), -1, -1), relu).argmax(-1)
        accuracy = (guess == test.labels).double().mean(1)
    return accuracy.view(len(layers), -1), losses.detach().double().view(len(layers), -1)


def table(layers: dict, depths: list[int], seeds: list[int], name: str, rate: float = RATE) -> xr.DataArray:
    result = xr.DataArray(torch.zeros(len(layers), len(depths), len(seeds), dtype=torch.float64, device="cpu").numpy(),
                          {name: list(layers), "train_depth": depths, "seed": seeds})
    for activation in {layer.activation.name for layer in layers.values()}:
        group = [key for key, layer in layers.items() if layer.activation.name == activation]
        for depth in depths:
            began = time.process_time()
            accuracy, _ = train([layers[key] for key in group], depth, seeds, rate=rate)
            result.loc[{name: group, "train_depth": depth}] = accuracy.numpy()
            print(activation, depth, f"{time.process_time() - began:.1f} s", accuracy.mean(1).numpy().round(3), file=sys.stderr, flush=True)
    return result


def main() -> None:
    torch.set_num_threads(1)
    seeds = list(range(SEEDS))
    accuracy = table(INITIALIZATIONS, DEPTHS, seeds, "initialization")
    family = table({std: D(WIDTH, "tanh", std, 0.05) for std in FAMILY}, FINE, seeds[:4], "weight_std")
    further, (he, typical) = list(range(SEEDS, SEEDS + FURTHER)), (INITIALIZATIONS[k] for k in ("ReLU, He", "ReLU, Lyapunov"))
    pair = table({"He": he, "Lyapunov": typical}, DEPTHS, further, "run")
    raised = table({"Lyapunov, rate raised": typical}, DEPTHS, further, "run", RATE * typical.weight_std / he.weight_std)
    result = xr.Dataset({"accuracy": accuracy})
    result["family"] = family.rename(train_depth="fine_depth", seed="family_seed")
    result["pair"] = xr.concat([pair, raised], "run").rename(seed="pair_seed")
    result.attrs = {"command": "python book/results/trainability.py", "seeds": SEEDS, "versions": f"torch {torch.__version__}",
                    "training": f"width {WIDTH}, Adam {RATE}, {STEPS} steps of {BATCH} images"}
    result.to_netcdf(Path(__file__).with_suffix(".nc"), engine="h5netcdf")


if __name__ == "__main__":
    main()
