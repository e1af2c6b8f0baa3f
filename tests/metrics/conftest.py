"""The registry of all metrics: the shared suite runs over it."""

from __future__ import annotations

import pytest
import torch

from deeplimits import metrics

torch.set_num_threads(1)
POINTS = torch.tensor([[0.0, 0.0], [1.0, -0.5], [0.3, 2.0], [-1.2, 0.7], [0.5, 0.5]], dtype=torch.float64)
REGISTRY = {
    "l1": metrics.lp(1),
    "l1.5": metrics.lp(1.5),
    "l2": metrics.lp(2),
    "linf": metrics.lp("inf"),
    "span": metrics.span,
    "angle": metrics.angle,
    "hilbert": metrics.hilbert,
    "thompson": metrics.thompson,
    "funk": metrics.funk,
    "affine_invariant": metrics.affine_invariant,
    "log_euclidean": metrics.log_euclidean,
    "spd_thompson": metrics.spd_thompson,
    "spd_hilbert": metrics.spd_hilbert,
    "poincare": metrics.poincare,
    "klein": metrics.klein,
    "wasserstein": metrics.wasserstein,
    "wasserstein_1": metrics.wasserstein_1,
    "gaussian_wasserstein": metrics.gaussian_wasserstein,
    "total_variation": metrics.total_variation,
    "kl": metrics.kl,
    "sup": metrics.sup(POINTS),
}


@pytest.fixture(params=REGISTRY.values(), ids=REGISTRY.keys(), scope="session")
def metric(request: pytest.FixtureRequest) -> metrics.Metric:
    return request.param


@pytest.fixture(scope="session")
def all_metrics() -> dict[str, metrics.Metric]:
    return REGISTRY
