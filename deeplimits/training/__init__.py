"""Many small networks trained at once as one batched tensor program (Part IV, *Training near the boundary*)."""

from __future__ import annotations

from .ensemble import train_ensemble
from .starts import batch_order, initial_network

__all__ = ["batch_order", "initial_network", "train_ensemble"]
