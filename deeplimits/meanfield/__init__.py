r"""Mean field: lengths and correlations in infinite width (Part IV, *The edge of chaos*).

In infinite width the pre-activations of two inputs are a centred normal pair, and a layer acts on its covariance:

.. math:: V(q) = \sigma_w^2 E\,\varphi(\sqrt q z)^2 + \sigma_b^2, \qquad
   F(c) = \frac{\sigma_w^2 E\,\varphi(u)\varphi(v) + \sigma_b^2}{V(q)}, \qquad \rho = 1 - c .

Below one :math:`\chi_1 = \sigma_w^2 E\,\varphi'^2` says that inputs become the same, above one that they are torn
apart. Everything here is stable near c = 1: what is computed is :math:`\rho`, never ``1 - c``.
"""

from deeplimits.meanfield.angles import angle_map, angle_profile
from deeplimits.meanfield.fields import rho_field
from deeplimits.meanfield.fixedpoints import FixedPoint, fixed_point, phase_diagram
from deeplimits.meanfield.maps import Profile, correlation_map, gram_map, profile, rho_map, variance_map
from deeplimits.moments import critical_variance, critical_weight_std

__all__ = [
    "FixedPoint",
    "Profile",
    "angle_map",
    "angle_profile",
    "correlation_map",
    "critical_variance",
    "critical_weight_std",
    "fixed_point",
    "gram_map",
    "phase_diagram",
    "profile",
    "rho_field",
    "rho_map",
    "variance_map",
]
