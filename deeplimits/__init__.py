"""Deep Limits: what happens to neural networks as depth grows.

Import it as ``dl``. The ideas live in submodules (``dl.metrics``, ``dl.cutoff``, …), which load when first used; the layers
and the few functions that everything goes through stand here by name.
"""

from __future__ import annotations

import importlib
from typing import Any

#: Public name -> the module that defines it; modules themselves map to None.
_HOMES: dict[str, str | None] = {
    "activations": None, "coursework": None, "criticality": None, "cutoff": None, "datasets": None, "devices": None, "engine": None, "ergodic": None,
    "explorer": None, "functionals": None, "layers": None, "masking": None, "meanfield": None, "metrics": None, "moments": None, "percolation": None,
    "plots": None, "topology": None, "training": None,
    "check_semi_invariance": "metrics", "explore": "explorer", "set_default_device": "devices", "simulate": "engine",
} | dict.fromkeys((
    "Attention", "Averaged", "BiMap", "Chain", "CircularConv1d", "CircularConv2d", "Congruence", "Contraction", "Dense", "Dropout", "Fixed",
    "Function", "GradientStep", "KleinAffine", "Layer", "LayerMap", "MatrixPower", "MaxPlus", "Positive", "ReEig", "Residual",
    "Softmax", "Stationary", "Translation"), "layers")

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'deeplimits' has no attribute {name!r}")
    home = _HOMES[name]
    value = importlib.import_module(f"deeplimits.{name}") if home is None else getattr(importlib.import_module(f"deeplimits.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
