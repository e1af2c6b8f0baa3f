"""The engine: ensembles of random networks, forward and backward (Part II, *The order of composition*)."""

from deeplimits.engine.run import simulate

__all__ = ["simulate"]
