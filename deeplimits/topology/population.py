r"""The population loss on Gaussian inputs, its gradient, and the exact obstructed plateau (Part V, *Obstructed training*)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.optimize import brentq

from deeplimits import _checks

NAMED = ("T1", "T2", "B")


@dataclass(frozen=True, eq=False)
class Teacher:
    r"""A network to be learnt, :math:`y = \sum_j b_j\,\varphi(\langle v_j, x\rangle)`.

    Attributes:
        name: what the results call it.
        weight: incoming weights :math:`v_j`, shape ``(P + N, d)``, float64.
        output: output weights :math:`b_j`, shape ``(P + N,)``.

    Example:
        >>> Teacher.named("T1")
        Teacher T1 on 2 inputs: 1 positive and 1 negative output weights
    """

    name: str
    weight: torch.Tensor
    output: torch.Tensor

    @classmethod
    def named(cls, name: str, dim_in: int | None = None, *, device: torch.device | str = "cpu") -> Teacher:
        r"""One of the teachers of the book.

        ``"T1"``: :math:`\varphi(x_1) - \varphi(x_2)`; ``"T2"``: :math:`-\varphi(x_1)`; ``"B"``: one neuron for each of an
        even number of inputs, the first half positive, the second half negative.

        Args:
            name: ``"T1"``, ``"T2"`` or ``"B"``.
            dim_in: number of inputs d; 2 by default.
            device: where the tensors live.

        Returns:
            The teacher, in float64.

        Raises:
            ValueError: an unknown name, fewer than two inputs, or an odd number of them for ``"B"``.

        Example:
            >>> Teacher.named("B", 4).output.tolist()
            [1.0, 1.0, -1.0, -1.0]
        """
        _checks.choice("name", name, NAMED)
        d = _checks.integer("dim_in", 2 if dim_in is None else dim_in, minimum=2)
        if name == "B" and d % 2:
            raise ValueError(f"dim_in must be even for teacher 'B', half of whose neurons are negative; got {d}")
        eye = torch.eye(d, dtype=torch.float64, device=device)
        signs = {"T1": [1, -1], "T2": [-1], "B": [1] * (d // 2) + [-1] * (d // 2)}[name]
        return cls(name, eye[: len(signs)], torch.tensor(signs, dtype=torch.float64, device=device))

    @property
    def positive(self) -> int:
        """Number P of positive output weights."""
        return int((self.output > 0).sum())

    @property
    def negative(self) -> int:
        """Number N of negative output weights."""
        return int((self.output < 0).sum())

    @property
    def dim_in(self) -> int:
        """Number d of inputs."""
        return self.weight.shape[-1]

    def to(self, device: torch.device | str) -> Teacher:
        """The same teacher on another device."""
        return Teacher(self.name, self.weight.to(device), self.output.to(device))

    def __repr__(self) -> str:
        return f"Teacher {self.name} on {self.dim_in} inputs: {self.positive} positive and {self.negative} negative output weights"


def teacher(name: str, dim_in: int | None = None, *, device: torch.device | str = "cpu") -> Teacher:
    r"""One of the teachers of the book: ``"T1"``, ``"T2"`` or ``"B"`` (see :meth:`Teacher.named`).

    Example:
        >>> teacher("T2").output.tolist()
        [-1.0]
    """
    return Teacher.named(name, dim_in, device=device)


def as_teacher(value: Teacher | str, dim_in: int, device: torch.device | str) -> Teacher:
    """A teacher, given itself or by name, that fits the inputs."""
    if isinstance(value, str):
        return Teacher.named(_checks.choice("teacher", value, NAMED), dim_in, device=device)
    if not isinstance(value, Teacher):
        raise TypeError(f"teacher must be a Teacher or one of 'T1', 'T2', 'B'; got {type(value).__name__}")
    if value.dim_in != dim_in:
        raise ValueError(f"teacher must have {dim_in} inputs, as weight has; got {value.dim_in}")
    return value.to(device)


def gaussian_kernel(u: torch.Tensor, v: torch.Tensor, *, slope: float = 0.0) -> torch.Tensor:
    r"""Mean product of two neurons over standard normal inputs.

    .. math::

        k(u, v) = E\,\varphi(\langle u, x\rangle)\,\varphi(\langle v, x\rangle)
                = (1 - s)^2\,\|u\|\|v\|\,\frac{\sin\theta + (\pi - \theta)\cos\theta}{2\pi} + s\,\langle u, v\rangle,

    for :math:`\varphi(z) = z` above zero and :math:`sz` below, and the angle :math:`\theta` of the two vectors.

    Args:
        u: vectors, shape ``(..., m, d)``.
        v: vectors, shape ``(..., n, d)``.
        slope: slope s below zero: 0 is ReLU, 1 a linear unit.

    Returns:
        The kernel matrix, shape ``(..., m, n)``.

    Raises:
        TypeError: not tensors of floats, or of two dtypes.
        ValueError: shapes that do not fit, NaN or infinity.

    Source:
        Cho and Saul (2009), *Kernel methods for deep learning*.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
        >>> gaussian_kernel(x, x)
        tensor([[0.5000, 0.3183],
                [0.3183, 2.0000]], dtype=torch.float64)
    """
    _checks.finite("u", u), _checks.finite("v", v)
    if u.dtype != v.dtype:
        raise TypeError(f"u and v must have the same dtype; got {u.dtype} and {v.dtype}")
    batches = zip(u.shape[-3::-1], v.shape[-3::-1], strict=False)
    if min(u.ndim, v.ndim) < 2 or u.shape[-1] != v.shape[-1] or any(m != n and 1 not in (m, n) for m, n in batches):
        raise ValueError(f"u and v must have shapes (..., m, d) and (..., n, d), with batches that broadcast; got {tuple(u.shape)} and {tuple(v.shape)}")
    return _kernel(u, v, _checks.number("slope", slope))


def _kernel(u: torch.Tensor, v: torch.Tensor, slope: float) -> torch.Tensor:
    """The numeric kernel of :func:`gaussian_kernel`, without checks."""
    tiny = torch.finfo(u.dtype).tiny
    nu, nv = torch.linalg.vector_norm(u, dim=-1), torch.linalg.vector_norm(v, dim=-1)
    cosine, sine, rest = _angles(u / nu.clamp_min(tiny)[..., None], v / nv.clamp_min(tiny)[..., None])
    angular = (sine + rest * cosine) / (2 * math.pi) * nu[..., :, None] * nv[..., None, :]
    return (1 - slope) ** 2 * angular + slope * (u @ v.mT)


def _angles(u: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cosine, sine and π − θ for unit (or zero) vectors."""
    inside = 1 - torch.finfo(u.dtype).eps / 2  # so that autograd never divides by zero
    cosine = (u @ v.mT).clamp(-inside, inside)
    return cosine, torch.sqrt((1 - cosine) * (1 + cosine)), torch.acos(-cosine)  # factored: sine and angle round alike


def population_loss(weight: torch.Tensor, output: torch.Tensor, teacher: Teacher | str = "T1", *, slope: float = 0.0) -> torch.Tensor:
    r"""Half the mean squared error over standard normal inputs, without any data.

    .. math:: L = \tfrac12 E\Bigl(\sum_k a_k\varphi(\langle w_k, x\rangle) - y(x)\Bigr)^2
                = \tfrac12 a^{\mathsf T}K_{ww}a - a^{\mathsf T}K_{wv}b + \tfrac12 b^{\mathsf T}K_{vv}b .

    A smooth function of the weights as long as no neuron is zero; a neuron of zeros contributes nothing.

    Args:
        weight: incoming weights, shape ``(..., m, d)``.
        output: output weights, shape ``(..., m)``.
        teacher: a :class:`Teacher`, or the name of one.
        slope: slope of the activation below zero, for student and teacher alike.

    Returns:
        The loss, shape ``(...)``.

    Raises:
        TypeError: weights that are not tensors of one dtype, or no teacher.
        ValueError: shapes that do not fit, NaN or infinity, or an unknown teacher.

    Example:
        >>> w, a = reference_start()
        >>> round(population_loss(w, a, "T1").item(), 6), round(population_loss(w, 0 * a, "T1").item(), 6)
        (0.550809, 0.340845)
    """
    return loss_against(weight, output, _checked(weight, output, teacher), _checks.number("slope", slope))


def loss_against(w: torch.Tensor, a: torch.Tensor, teacher: Teacher, slope: float = 0.0) -> torch.Tensor:
    """The numeric kernel of :func:`population_loss`, without checks: runs that diverge have a loss that is not finite."""
    v, b = teacher.weight.to(w.dtype), teacher.output.to(w.dtype)
    own = torch.einsum("...j,...jk,...k->...", a, _kernel(w, w, slope), a)
    cross = torch.einsum("...j,...jk,k->...", a, _kernel(w, v, slope), b)
    return own / 2 - cross + b @ _kernel(v, v, slope) @ b / 2


def forces(weight: torch.Tensor, output: torch.Tensor, teacher: Teacher | str = "T1", *, slope: float = 0.0) -> torch.Tensor:
    r"""The vectors :math:`u_k = E\,x\,\varphi'(\langle w_k, x\rangle)\,r(x)` that drive each neuron, r the residual.

    The gradient of the loss is :math:`\nabla_{w_k}L = a_k u_k`, :math:`\nabla_{a_k}L = \langle w_k, u_k\rangle`.

    Args:
        weight: incoming weights, shape ``(..., m, d)``.
        output: output weights, shape ``(..., m)``.
        teacher: a :class:`Teacher`, or the name of one.
        slope: slope of the activation below zero.

    Returns:
        The vectors, of the shape of ``weight``.

    Raises:
        ValueError: as :func:`population_loss`.

    Example:
        >>> w, a = reference_start()
        >>> forces(w, a, "T1").round(decimals=4).tolist()
        [[-0.0979, 0.635], [-0.0959, 0.6839]]
    """
    target = _checked(weight, output, teacher)
    return field(weight, output, target.weight.to(weight.dtype), target.output.to(weight.dtype), _checks.number("slope", slope))


def field(w: torch.Tensor, a: torch.Tensor, v: torch.Tensor, b: torch.Tensor, slope: float = 0.0) -> torch.Tensor:
    """The numeric kernel of :func:`forces`, without checks: neurons of student and teacher side by side."""
    lead = w.shape[:-2]
    every = torch.cat([w, v.expand(*lead, *v.shape)], -2)
    signed = torch.cat([a, -b.expand(*lead, b.shape[0])], -1)[..., None]
    length = torch.linalg.vector_norm(every, dim=-1, keepdim=True)
    units = every / length.clamp_min(torch.finfo(length.dtype).tiny)
    unit = units[..., : w.shape[-2], :]
    _, sine, rest = _angles(unit, units)
    pull = signed * every
    u = torch.addcmul(rest @ pull, unit, sine @ (signed * length)).mul_(1 / (2 * math.pi))
    return u if slope == 0 else (1 - slope) ** 2 * u + slope * pull.sum(-2, keepdim=True)


def population_gradient(weight: torch.Tensor, output: torch.Tensor, teacher: Teacher | str = "T1", *,
                        slope: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    r"""The gradient of :func:`population_loss` in closed form: by ``weight`` and by ``output``.

    Raises:
        ValueError: as :func:`population_loss`.

    Example:
        >>> w, a = reference_start()
        >>> _, by_output = population_gradient(w, a, "T1")
        >>> by_output.round(decimals=4).tolist()
        [0.1416, 0.2832]
    """
    u = forces(weight, output, teacher, slope=slope)
    return output[..., None] * u, (weight * u).sum(-1)


def _checked(weight: torch.Tensor, output: torch.Tensor, teacher: Teacher | str) -> Teacher:
    _checks.finite("weight", weight), _checks.finite("output", output)
    if output.dtype != weight.dtype:
        raise TypeError(f"output must have the dtype of weight, {weight.dtype}; got {output.dtype}")
    if weight.ndim < 2 or weight.shape[-2] == 0:
        raise ValueError(f"weight must have shape (..., neurons, inputs) with at least one neuron; got {tuple(weight.shape)}")
    if output.shape != weight.shape[:-1]:
        raise ValueError(f"output must have shape {tuple(weight.shape[:-1])}, one number for each neuron of weight; got {tuple(output.shape)}")
    return as_teacher(teacher, weight.shape[-1], weight.device)


def reference_start(*, device: torch.device | str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    r"""The obstructed start of the reference problem: two neurons, both with a positive output weight that cannot change sign.

    Returns:
        ``weight`` (2, 2) and ``output`` (2,), float64; the balances are -0.66 and -0.47.

    Example:
        >>> w, a = reference_start()
        >>> ((w**2).sum(-1) - a**2).round(decimals=9).tolist()
        [-0.66, -0.47]
    """
    weight = torch.tensor([[0.5, 0.3], [-0.1, 0.4]], dtype=torch.float64, device=device)
    return weight, torch.tensor([1.0, 0.8], dtype=torch.float64, device=device)


@dataclass(frozen=True)
class Plateau:
    """The best fit by neurons with non-negative output weights.

    Attributes:
        loss: its loss :math:`L^*`.
        angle: angle of the one neuron that attains it, in radians, measured from the first axis away from the second.
        size: its :math:`\\|w\\|\\,a`.
    """

    loss: float
    angle: float
    size: float


def obstructed_plateau() -> Plateau:
    r"""The lowest loss that ReLU networks with non-negative output weights reach on teacher T1, exactly.

    .. math::

        L^* = \tfrac12 - \tfrac1{2\pi} - \bigl(K(\theta) - K(\theta + \tfrac\pi2)\bigr)^2, \qquad
        K(\theta) = \frac{\sin\theta + (\pi - \theta)\cos\theta}{2\pi}, \qquad
        \tan\theta = \frac{\pi/2 - \theta}{\pi - \theta}.

    One neuron attains it, at the angle :math:`-\theta` from the first axis, and more do no better: the projection of the
    teacher to the cone of such networks is that neuron.

    Returns:
        A :class:`Plateau` with ``loss``, ``angle`` and ``size``.

    Source:
        derived in *Obstructed training*.

    Example:
        >>> best = obstructed_plateau()
        >>> round(best.loss, 8), round(math.degrees(best.angle), 3)
        (0.18886481, 23.094)
    """
    theta = float(brentq(lambda t: math.sin(t) * (math.pi - t) - math.cos(t) * (math.pi / 2 - t), 0.1, 0.8, xtol=1e-15))
    gain = _profile(theta) - _profile(theta + math.pi / 2)
    return Plateau(0.5 - 0.5 / math.pi - gain**2, theta, 2 * gain)


def _profile(theta: float) -> float:
    return (math.sin(theta) + (math.pi - theta) * math.cos(theta)) / (2 * math.pi)


def no_jump_rate(loss: float, *, spread: float = 1.0, symmetric: bool = False) -> float:
    r"""A learning rate below which no frozen sign changes in one step of gradient descent on the squared error.

    .. math:: \eta < \frac1{\sqrt{2L\,\lambda_{\max}(E\,xx^{\mathsf T})}},
        \qquad \eta < \frac1{\sqrt{L\,\lambda_{\max}}} \quad\text{if } x \text{ and } {-x} \text{ have the same law.}

    Args:
        loss: the loss :math:`L = \tfrac12 E r^2` at the step (at the start, if the loss never rises above it).
        spread: largest eigenvalue of :math:`E\,xx^{\mathsf T}`, with the 1 of a bias appended to x.
        symmetric: whether the inputs have a symmetric law (not with a bias).

    Returns:
        The learning rate.

    Raises:
        ValueError: a number that is not positive.

    Source:
        derived in *Obstructed training*.

    Example:
        >>> round(no_jump_rate(0.550809), 3), round(no_jump_rate(0.550809, symmetric=True), 3)
        (0.953, 1.347)
    """
    _checks.positive("loss", loss)
    return 1 / math.sqrt((1 if symmetric else 2) * loss * _checks.positive("spread", spread))
