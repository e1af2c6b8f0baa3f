"""Layer maps and random layers (Part I, *Layer maps and the distances they do not increase*)."""

from __future__ import annotations

from deeplimits.layers.attention import Attention, Softmax
from deeplimits.layers.base import Function, Layer, LayerMap
from deeplimits.layers.compose import Chain, Fixed, Stationary
from deeplimits.layers.contraction import Contraction, Dropout, KleinAffine
from deeplimits.layers.convolution import CircularConv1d, CircularConv2d, spectral_norm, zero_padded_bound
from deeplimits.layers.dense import Dense
from deeplimits.layers.positive import MaxPlus, Positive
from deeplimits.layers.residual import Averaged, GradientStep, Residual
from deeplimits.layers.spd import BiMap, Congruence, MatrixPower, ReEig, Translation

__all__ = [
    "Attention",
    "Averaged",
    "BiMap",
    "Chain",
    "CircularConv1d",
    "CircularConv2d",
    "Congruence",
    "Contraction",
    "Dense",
    "Dropout",
    "Fixed",
    "Function",
    "GradientStep",
    "KleinAffine",
    "Layer",
    "LayerMap",
    "MatrixPower",
    "MaxPlus",
    "Positive",
    "ReEig",
    "Residual",
    "Softmax",
    "Stationary",
    "Translation",
    "spectral_norm",
    "zero_padded_bound",
]
