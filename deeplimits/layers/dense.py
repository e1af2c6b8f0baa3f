r"""Dense random layers and their initializations (Part I, *Layer maps and the distances they do not increase*)."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import torch

from deeplimits import _checks, activations, moments
from deeplimits.layers.base import ActivatedLayer, LayerMap, normal, uniform

Tensor = torch.Tensor

#: The initializations that ``weight_std`` names.
INITIALIZATIONS = ("he", "glorot", "xavier", "lecun", "critical", "lyapunov", "torch")
WEIGHTS = ("gaussian", "orthogonal")


def resolve_weight_std(weight_std: float | str, *, activation: str | activations.Activation = "relu", width: int, fan_in: int | None = None,
                       bias_std: float = 0.0, weights: str = "gaussian", slope: float | None = None) -> float:
    r"""The number :math:`\sigma_w` behind a named initialization, where :math:`W_{ij}` has variance :math:`\sigma_w^2/N_{in}`.

    ``"he"``: :math:`\sqrt{2/(1+a^2)}` with a the slope of a leaky unit (0 for any other activation); ``"glorot"`` =
    ``"xavier"``: :math:`\sqrt{2N_{in}/(N_{in}+N)}`; ``"lecun"``: 1; ``"critical"``: the edge of chaos at ``bias_std``;
    ``"lyapunov"``: Lyapunov exponent zero at this width; ``"torch"``: :math:`\sqrt{1/3}`, what ``torch.nn.Linear`` does.

    Args:
        weight_std: a positive number, returned as it is, or a name.
        activation: name of the activation.
        width: size of the output.
        fan_in: size of the input; ``width`` if None.
        bias_std: standard deviation of the biases (matters for ``"critical"``).
        weights: ``"gaussian"`` or ``"orthogonal"`` (matters for ``"lyapunov"``).
        slope: slope of a leaky unit.

    Returns:
        :math:`\sigma_w`.

    Raises:
        ValueError: not positive, or not a name of the table.

    Source:
        He et al. (2015); Glorot and Bengio (2010); LeCun et al. (1998); Schoenholz et al. (2017); Kogler et al. (2026).

    Example:
        >>> round(resolve_weight_std("he", width=64), 6)
        1.414214
    """
    unit = activations.get(activation, slope)
    if not isinstance(weight_std, str):
        wrong = isinstance(weight_std, bool) or not isinstance(weight_std, Real) or not 0 < weight_std < math.inf
        if wrong:
            raise ValueError(f"weight_std must be positive or one of {', '.join(map(repr, INITIALIZATIONS))}; got {weight_std!r}")
        return float(weight_std)
    _checks.choice("weight_std", weight_std, INITIALIZATIONS)
    fan_in = width if fan_in is None else fan_in
    if weight_std == "he":
        return math.sqrt(2 / (1 + (unit.slope if unit.name == "leaky_relu" else 0.0) ** 2))
    if weight_std in ("glorot", "xavier"):
        return math.sqrt(2 * fan_in / (fan_in + width))
    if weight_std == "critical":
        return moments.critical_weight_std(unit, bias_std)
    if weight_std == "lyapunov":
        if bias_std:
            raise ValueError(f"weight_std='lyapunov' needs bias_std=0: with biases there is no closed form; got bias_std={bias_std!r}")
        return moments.lyapunov_weight_std(width, unit, weights=weights, fan_in=fan_in)
    return {"lecun": 1.0, "torch": math.sqrt(1 / 3)}[weight_std]


class Dense(ActivatedLayer):
    r"""A random dense layer :math:`x \mapsto \varphi(Wx + b)`.

    Gaussian: :math:`W_{ij} \sim N(0, \sigma_w^2/N_{in})`, independent. Orthogonal: :math:`W = \sigma_w O` with O Haar
    distributed; a rectangular O has orthonormal rows, or columns scaled so that its entries have variance
    :math:`1/N_{in}`. Biases :math:`b_i \sim N(0, \sigma_b^2)`. ``weight_std="torch"`` draws what ``torch.nn.Linear``
    draws: uniform weights of variance :math:`1/(3N_{in})`; ``bias_std="torch"`` its uniform biases.

    Args:
        width: size N of the output.
        activation: one of :data:`deeplimits.activations.NAMES`.
        weight_std: :math:`\sigma_w`, or the name of an initialization (see :func:`~deeplimits.layers.dense.resolve_weight_std`).
        bias_std: :math:`\sigma_b`, or ``"torch"``.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        slope: slope of ``"leaky_relu"`` for negative arguments.
        fan_in: size of the input; equal to ``width`` if None.

    Raises:
        ValueError: an argument out of range; the message names it.

    Source:
        Poole et al. (2016); Saxe, McClelland and Ganguli (2014) for orthogonal weights.

    Example:
        >>> layer = Dense(width=3, activation="relu", weight_std="he")
        >>> T = layer.sample(generator=torch.Generator().manual_seed(0))
        >>> T(torch.ones(5, 3)).shape
        torch.Size([5, 3])
    """

    def __init__(self, width: int, activation: str | activations.Activation = "relu", weight_std: float | str = "he",
                 bias_std: float | str = 0.0, weights: str = "gaussian", *, slope: float | None = None, fan_in: int | None = None):
        self.width = _checks.integer("width", width)
        self.fan_in = self.width if fan_in is None else _checks.integer("fan_in", fan_in)
        self.activation = activations.get(activation, slope)
        self.weights = _checks.choice("weights", weights, WEIGHTS)
        self.initialization = weight_std if isinstance(weight_std, str) else None
        self._torch_bias = bias_std == "torch"
        self.bias_std = math.sqrt(1 / (3 * self.fan_in)) if self._torch_bias else _checks.nonnegative("bias_std", bias_std)
        self.weight_std = resolve_weight_std(weight_std, activation=self.activation, width=self.width, fan_in=self.fan_in,
                                             bias_std=self.bias_std, weights=weights)
        if self.initialization == "torch" and weights != "gaussian":
            raise ValueError("weight_std='torch' fixes the law of the weights (uniform); leave weights at its default")
        self._uniform = self.initialization == "torch"

    @property
    def has_law(self) -> bool:
        return not self._uniform and not self._torch_bias

    @property
    def formula(self) -> str:
        return r"x \mapsto \varphi(Wx+b),\ \varphi(u)=" + self.activation.formula

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that no draw can increase; only orthogonal weights bound the norm of every W."""
        scale = self.gain * self.activation.lipschitz
        return ("lp(2)",) if self.weights == "orthogonal" and scale <= 1 else ()

    @property
    def gain(self) -> float:
        r"""The factor of a standard draw, :math:`\sigma_w/\sqrt{N_{in}}`, or the norm of an orthogonal W."""
        if self.weights == "gaussian":
            return self.weight_std / math.sqrt(self.fan_in)
        return self.weight_std * math.sqrt(max(1.0, self.width / self.fan_in))

    def resized(self, fan_in: int) -> Dense:
        if fan_in == self.fan_in:
            return self
        std = self.initialization or self.weight_std
        return Dense(self.width, self.activation, std, "torch" if self._torch_bias else self.bias_std, self.weights, fan_in=fan_in)

    def describe(self) -> dict[str, Any]:
        told = super().describe() | {"activation": self.activation.name, "slope": self.activation.slope}
        return told | {"bias_std": "torch"} if self._torch_bias else told

    def _bias(self, generator, batch, dtype, device) -> Tensor | None:
        if self.bias_std == 0:
            return None
        if self._torch_bias:
            return (2 * uniform((*batch, self.width), generator, dtype, device) - 1) / math.sqrt(self.fan_in)
        return self.bias_std * normal((*batch, self.width), generator, dtype, device)

    def _sample(self, generator, samples, dtype, device, state) -> DenseMap:
        batch = () if samples is None else (samples,)
        shape = (*batch, self.width, self.fan_in)
        if self._uniform:
            draw, scale = 2 * uniform(shape, generator, dtype, device) - 1, 1 / math.sqrt(self.fan_in)
        elif self.weights == "orthogonal":
            draw, scale = haar(shape, generator, dtype, device), self.gain
        else:
            draw, scale = normal(shape, generator, dtype, device), self.gain
        return DenseMap(self.activation, draw, scale, self._bias(generator, batch, dtype, device))

    def _law(self, generator, samples, dtype, device, state) -> LawMap:
        return LawMap(self, generator, samples, dtype, device)


def haar(shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Haar-distributed matrices with orthonormal rows, or columns if there are more rows than columns."""
    *batch, rows, columns = shape
    g = normal((*batch, max(rows, columns), min(rows, columns)), generator, dtype, device)
    q, r = torch.linalg.qr(g)
    q = q * torch.sign(torch.diagonal(r, dim1=-2, dim2=-1)).unsqueeze(-2)  # without the signs the law is not Haar's
    return q if rows >= columns else q.mT


#: Up to this width a rectified layer reports which units are active; above it, all but one being off has probability < 1e-30.
SUPPORT_WIDTH = 128


def _respond(layer_map: LayerMap, activation: activations.Activation, h: Tensor, v: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
    """Value and difference quotient of the activation, and the support where units can switch off exactly."""
    scale = log_scale.unsqueeze(-1)
    if activation.slope == 0 and h.shape[-1] <= SUPPORT_WIDTH:
        layer_map.support = (h > 0, torch.addcmul(h, torch.exp(scale.to(h.dtype)), v) > 0)
    return activation(h), activation.difference(h, v, scale)


class DenseMap(LayerMap):
    r"""The map :math:`x \mapsto \varphi(Wx + b)` with ``weight`` of shape ``(..., N, N_in)`` and ``bias`` or None."""

    def __init__(self, activation: activations.Activation, draw: Tensor, scale: float = 1.0, bias: Tensor | None = None):
        self.activation, self._draw, self._scale, self.bias = activation, draw, scale, bias

    @property
    def weight(self) -> Tensor:
        """The matrix W."""
        return self._draw * self._scale

    def _add_bias(self, h: Tensor) -> Tensor:
        if self.bias is None:
            return h
        return h + (self.bias.unsqueeze(-2) if self._draw.ndim == 3 else self.bias)

    def preactivation(self, x: Tensor) -> Tensor:
        """Wx + b."""
        _checks.last_dimension("x", x, self._draw.shape[-1])
        if x.dtype != self._draw.dtype:
            raise TypeError(f"x has dtype {x.dtype}, but this map was drawn in {self._draw.dtype}: layer.sample(dtype={x.dtype}) draws to match")
        # Scaling the product costs N operations, scaling the matrix N squared.
        return self._add_bias((x @ self._draw.mT) * self._scale)

    def __call__(self, x: Tensor) -> Tensor:
        return self.activation(self.preactivation(x))

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        product = (torch.cat([x, d], dim=-2) @ self._draw.mT) * self._scale
        h = self._add_bias(product[..., :1, :])
        return _respond(self, self.activation, h, product[..., 1:, :], log_scale)


def triangular(rows: Tensor) -> tuple[Tensor, Tensor]:
    r"""Thin QR of the transpose: ``rows`` :math:`= R^T Q` with orthonormal rows Q, for batches of few long rows.

    Modified Gram-Schmidt, whose R is as accurate as Householder's; torch's batched QR loops over the batch on a CPU.
    """
    rest, q = rows, []
    factor = rows.new_zeros(*rows.shape[:-2], rows.shape[-2], rows.shape[-2], device=rows.device)
    for k in range(rows.shape[-2]):
        head = rest[..., :1, :]
        norm = torch.linalg.vector_norm(head, dim=-1, keepdim=True)
        head = head / norm.clamp_min(torch.finfo(rows.dtype).tiny)
        rest = rest[..., 1:, :]
        along = rest @ head.mT
        factor[..., k, k:] = torch.cat([norm, along], dim=-2).squeeze(-1)
        rest = rest - along * head
        q.append(head)
    return factor, torch.cat(q, dim=-2)


class LawMap(LayerMap):
    r"""Outputs of a dense layer at given inputs, exactly in law, without its weights; for one use.

    The rows of W are independent of the past, so given inputs with thin QR factor R the pre-activations are
    :math:`\sigma_w N^{-1/2} R^T G` with G standard normal (Gaussian weights), or :math:`\sigma_w R^T Q` with Q uniform on
    the Stiefel manifold (orthogonal weights). The factor comes from the inputs themselves, never from their Gram matrix.
    """

    def __init__(self, layer: Dense, generator: torch.Generator | None, samples: int, dtype: torch.dtype, device: torch.device):
        self.layer, self._source = layer, (generator, dtype, device)
        self._samples = samples

    def _directions(self, count: int) -> Tensor:
        layer = self.layer
        if layer.weights == "gaussian":
            return normal((self._samples, count, layer.width), *self._source)
        if count > layer.fan_in:
            raise ValueError(f"route='law' with orthogonal weights takes at most fan_in={layer.fan_in} inputs; got {count}")
        draw = normal((self._samples, count, max(layer.width, layer.fan_in)), *self._source)
        return triangular(triangular(draw)[1])[1][..., : layer.width]  # twice, for orthogonality to rounding

    def _preactivations(self, rows: Tensor) -> Tensor:
        """The linear part at each of the rows, jointly."""
        return (triangular(rows)[0].mT @ self._directions(rows.shape[-2])) * self.layer.gain

    def _finish(self, linear: Tensor) -> Tensor:
        bias = self.layer._bias(self._source[0], (self._samples,), *self._source[1:])
        return linear if bias is None else linear + bias.unsqueeze(-2)

    def __call__(self, x: Tensor) -> Tensor:
        return self.layer.activation(self._finish(self._preactivations(x)))

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor, norms: tuple[Tensor, Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        r"""As :meth:`LayerMap.pair`; for a single direction ``norms`` may bring what is known of the inputs.

        Args:
            x: points, shape ``(S, 1, N)``.
            d: directions, shape ``(S, P, N)``.
            log_scale: shape ``(S, P)``.
            norms: for P = 1 the triple :math:`(|x|, \langle x, d\rangle/|x|, |d_\perp|)`, each of shape ``(S, 1)``.
        """
        if norms is None or d.shape[-2] != 1:
            linear = self._preactivations(torch.cat([x, d], dim=-2))
            first, rest = linear[..., :1, :], linear[..., 1:, :]
        else:
            q = self._directions(2)
            norm, along, across = (self.layer.gain * n.to(q.dtype).unsqueeze(-1) for n in norms)
            first, rest = q[..., :1, :], q[..., 1:, :]
            rest.mul_(across).addcmul_(along, first)  # in place: these draws are ours, and used once
            first.mul_(norm)
        return _respond(self, self.layer.activation, self._finish(first), rest, log_scale)
