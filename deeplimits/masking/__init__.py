r"""Training a shallow network through random subnetworks (Part VI, *Training random subnetworks*).

The network is :math:`f_W(x) = m^{-1/2} \sum_r a_r\,\mathrm{relu}(w_r \cdot x)` with fixed signs :math:`a_r`; a round draws S
masks, trains the S masked networks for some local steps and averages what they changed. Dropout, multi-sample dropout
and Independent Subnet Training are special cases. The algorithm is that of Liao and Kyrillidis (2022).
"""

from __future__ import annotations

from .depth import DepthNoise, dropout_in_depth
from .kernels import empirical_covariance, empirical_ntk, ntk, output_covariance, smallest_eigenvalue
from .laws import MaskLaw, alive_share, mask_law, special_case, updated_share
from .linear import MeanPath, Ridge, jacobian, mean_dynamics, mean_step, ridge_fixed_point
from .rounds import ROUTES, one_round
from .run import Floor, floor, initial_weights, train
from .tasks import digits_task, random_task
from .theory import PredictedError, contraction, largest_lr, predicted_curve, predicted_error, slow_time

__all__ = [
    "ROUTES",
    "DepthNoise",
    "Floor",
    "MaskLaw",
    "MeanPath",
    "PredictedError",
    "Ridge",
    "alive_share",
    "contraction",
    "digits_task",
    "dropout_in_depth",
    "empirical_covariance",
    "empirical_ntk",
    "floor",
    "initial_weights",
    "jacobian",
    "largest_lr",
    "mask_law",
    "mean_dynamics",
    "mean_step",
    "ntk",
    "one_round",
    "output_covariance",
    "predicted_curve",
    "predicted_error",
    "random_task",
    "ridge_fixed_point",
    "slow_time",
    "smallest_eigenvalue",
    "special_case",
    "train",
    "updated_share",
]
