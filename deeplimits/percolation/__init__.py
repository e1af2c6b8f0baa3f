r"""Directed percolation, and how activity spreads (Part IV, *Directed percolation and convolutional networks*).

Bond directed percolation in 1+1 dimensions has one absorbing state, the empty lattice, and a transition at
:data:`CRITICAL_PROBABILITY` whose exponents are known to six digits (:data:`EXPONENTS`). It calibrates the estimators that
are then applied to convolutional networks.
"""

from deeplimits.percolation.estimates import Exponents, averages, exponents, local_slopes
from deeplimits.percolation.lattice import CRITICAL_PROBABILITY, EXPONENTS, directed_percolation
from deeplimits.percolation.seeds import input_pair, spreading

__all__ = [
    "CRITICAL_PROBABILITY",
    "EXPONENTS",
    "Exponents",
    "averages",
    "directed_percolation",
    "exponents",
    "input_pair",
    "local_slopes",
    "spreading",
]
