"""Conserved balances of ReLU networks and what training cannot reach (Part V, *What training cannot reach*).

Nurisso, Leroy and Vaccarino (2024) found the obstruction; each function names its own source.
"""

from __future__ import annotations

from .balances import balance, balance_change, independent_laws, law_rank, layer_balances
from .descent import Descent, data_loss, descend
from .diagnosis import Diagnosis, HiddenLayer, diagnose
from .ensembles import frozen_sign_study, learning_rate_scan, outcomes, random_starts, twins
from .initializations import (
    Share,
    characteristic_probability,
    initial_balances,
    negative_balance_probability,
    negative_balance_share,
    obstructed_probability,
)
from .population import (
    Plateau,
    Teacher,
    forces,
    gaussian_kernel,
    no_jump_rate,
    obstructed_plateau,
    population_gradient,
    population_loss,
    reference_start,
    teacher,
)
from .quadrics import (
    Quadric,
    betti_numbers,
    components,
    counted_classes,
    counted_components,
    dimension,
    quadric,
    quadric_points,
    quadric_surface,
    quotient_components,
)
from .reachability import Reachability, feasible_probability, reachable
from .rescaling import Rescaled, representative, rescale
from .trajectories import train_population

__all__ = [
    "Descent",
    "Diagnosis",
    "HiddenLayer",
    "Plateau",
    "Quadric",
    "Reachability",
    "Rescaled",
    "Share",
    "Teacher",
    "balance",
    "balance_change",
    "betti_numbers",
    "characteristic_probability",
    "components",
    "counted_classes",
    "counted_components",
    "data_loss",
    "descend",
    "diagnose",
    "dimension",
    "feasible_probability",
    "forces",
    "frozen_sign_study",
    "gaussian_kernel",
    "independent_laws",
    "initial_balances",
    "law_rank",
    "layer_balances",
    "learning_rate_scan",
    "negative_balance_probability",
    "negative_balance_share",
    "no_jump_rate",
    "obstructed_plateau",
    "obstructed_probability",
    "outcomes",
    "population_gradient",
    "population_loss",
    "quadric",
    "quadric_points",
    "quadric_surface",
    "quotient_components",
    "random_starts",
    "reachable",
    "reference_start",
    "representative",
    "rescale",
    "teacher",
    "train_population",
    "twins",
]
