r"""One function runs every experiment: an ensemble of random networks, watched at chosen depths (Part II, *The order of composition*)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deeplimits import _checks, _runs, devices
from deeplimits.engine import observables
from deeplimits.engine.state import advance, begin
from deeplimits.engine.streams import block_sizes, stream
from deeplimits.layers.base import Layer, LayerMap

if TYPE_CHECKING:
    import xarray

Tensor = torch.Tensor
ORDERS, ROUTES, RNGS = ("forward", "backward"), ("auto", "weights", "law"), ("cpu", "device")


def simulate(layer: Layer, x0: Any, depth: int, observe: Sequence[str | Callable] | dict[str, Callable] = ("log_norm", "log_distance"), *,
             record: Sequence[int] | None = None, samples: int = 100, order: str = "forward", route: str = "auto", seed: int = 0,
             rng: str | None = None, device: Any = None, dtype: torch.dtype | None = None, progress: bool = True) -> xarray.Dataset:
    r"""Run an ensemble of random networks and record observables against depth.

    Forward: :math:`x_l = T_l \circ \dots \circ T_1 x_0`; backward: :math:`u(l)x_0 = T_1 \circ \dots \circ T_l x_0`. All B inputs
    pass through the same layers; distances and angles are to input 0 and are carried in logarithms, so that they are
    right far below 1e-300.

    Args:
        layer: the random layer; a rectangular first layer is made from it where ``x0`` has another size.
        x0: inputs, shape ``(B, N)`` (``(B, n, n)`` for layers on matrices, with callable observers only).
        depth: number of layers.
        observe: names among ``log_norm``, ``log_distance``, ``angle``, ``log_angle`` (in radians), ``alive`` (of x) and ``variance``,
            ``correlation``, ``rho``, ``log_rho`` (of the pre-activations that x generates in the next layer; means over the
            pixels of a convolution, whose ``local_rho`` and ``local_log_rho`` add the dimension ``site``), and callables
            that map x of shape ``(S, B, N)`` to ``(S, ...)``; a dict names the callables.
        record: depths to record, 0 being the inputs; all up to 257 evenly spaced ones if None.
        samples: number S of independent networks.
        order: ``"forward"`` or ``"backward"``; backward replays the layers at every recorded depth, which costs the sum
            of the recorded depths.
        route: ``"weights"`` forms the weight matrices; ``"law"`` draws the pre-activations exactly in law without them;
            ``"auto"`` takes the law route where the layer has one and the order is forward.
        seed: key of the random streams; each (seed, layer, block of samples) has its own.
        rng: ``"cpu"`` draws the same networks on every device, ``"device"`` draws on the device; None means ``"cpu"``, but where
            :func:`~deeplimits.devices.set_default_device` has moved the run.
        device: where to compute; if None where ``x0`` is, or the default device.
        dtype: float32 or float64; that of ``x0`` if None.
        progress: whether to show a line of text when the run takes longer than two seconds.

    Returns:
        A dataset with dimensions ``sample``, ``depth`` and ``input`` and the provenance of the run (JSON) in ``attrs``. After an
        interrupt it holds what was recorded until then: ``attrs["interrupted"]`` is 1 and what is missing is NaN.
        The angle or the correlation with a vector of zeros has no value and is NaN.

    Raises:
        TypeError: inputs that are not floating point.
        ValueError: an argument out of range; ``route="law"`` for backward order or a layer without such a route.

    Source:
        Avelin and Karlsson (2022) for forward and backward orbits; the law route is derived in the book.

    Example:
        >>> from deeplimits.layers import Dense
        >>> x0 = torch.eye(2, 16, dtype=torch.float64)
        >>> ds = simulate(Dense(16, "relu", "he"), x0, depth=20, observe=["log_norm", "angle"], samples=50, seed=1)
        >>> dict(ds.sizes)
        {'sample': 50, 'depth': 21, 'input': 2}
    """
    plan = _plan(layer, x0, depth, observe, record, samples, order, route, seed, rng, device, dtype)
    results, done = _execute(plan, bool(progress))
    return _dataset(plan, results, done)


@dataclass(frozen=True)
class Plan:
    """A checked run."""

    layer: Layer
    x0: Tensor
    depth: int
    observers: dict[str, Callable | None]
    record: np.ndarray
    samples: int
    order: str
    route: str
    seed: int
    rng: str
    blocks: list[int]
    arguments: dict[str, Any] = field(repr=False)

    @property
    def pairs(self) -> bool:
        """Whether differences are carried: not needed when only callables watch."""
        return any(f is None for f in self.observers.values())

    @property
    def whole(self) -> bool:
        """Whether differences are carried site by site."""
        return any(f is None and observables.by_site(name, self.layer) for name, f in self.observers.items())

    @property
    def homogeneous(self) -> bool:
        """Whether lengths factor out of what is carried."""
        return self.layer.homogeneous and not self.whole

    def layer_at(self, depth: int) -> Layer:
        """The layer that acts at a depth: the first one may be rectangular."""
        return self.layer.resized(self.x0.shape[-1]) if depth == 1 else self.layer


def _plan(layer, x0, depth, observe, record, samples, order, route, seed, rng, device, dtype) -> Plan:
    if not isinstance(layer, Layer):
        raise TypeError(f"layer must be a random layer such as dl.Dense(width=64); got {type(layer).__name__}")
    depth, samples = _checks.integer("depth", depth), _checks.integer("samples", samples)
    _checks.choice("order", order, ORDERS), _checks.choice("route", route, ROUTES)
    seed = _checks.integer("seed", seed, minimum=0)
    x0, given = _inputs(x0, device, dtype), torch.as_tensor(x0).device
    if rng is None:  # a run that the default device has moved draws there too
        rng = "device" if device is None and x0.device != given else "cpu"
    _checks.choice("rng", rng, RNGS)
    observers = _observers(observe)
    if x0.ndim > 2 and any(f is None for f in observers.values()):
        raise ValueError(f"observe: inputs of shape {tuple(x0.shape)} are matrices; give callables, which see x of shape (S, *x0.shape)")
    if order == "backward" and route == "law":
        raise ValueError("route='law' draws each layer once and cannot replay it: order='backward' needs route='weights'")
    if route == "law" and not layer.has_law:
        raise ValueError(f"route='law': {type(layer).__name__} has no law route; use route='weights'")
    if order == "backward":
        layer_in = layer.fan_in if x0.ndim == 2 else x0.shape[-1]
        if layer_in != layer.width or x0.shape[-1] != layer_in:
            raise ValueError(f"order='backward' needs a square layer and inputs of its size {layer.width}; got fan_in={layer_in} "
                             f"and x0 of shape {tuple(x0.shape)}")
    if route == "auto":
        route = "law" if layer.has_law and order == "forward" else "weights"
    first = layer.resized(x0.shape[-1]) if x0.ndim == 2 else layer
    numbers = max(x0.shape[0], 2) * max(first.width, first.fan_in) if route == "law" else max(layer.load(x0.shape[0]), first.load(x0.shape[0]))
    arguments = {"layer": layer.describe(), "x0_shape": list(x0.shape), "depth": depth, "observe": list(observers), "samples": samples,
                 "order": order, "route": route, "seed": seed, "rng": rng, "device": str(x0.device), "dtype": str(x0.dtype).removeprefix("torch.")}
    return Plan(layer, x0, depth, observers, _depths(record, depth), samples, order, route, seed, rng,
                block_sizes(samples, numbers, rng), arguments)


def _inputs(x0: Any, device: Any, dtype: torch.dtype | None) -> Tensor:
    try:
        x0 = torch.as_tensor(x0)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"x0 must be a tensor of shape (B, N), or what torch.as_tensor turns into one; got {type(x0).__name__}") from error
    if dtype is None:
        dtype = _checks.floating("x0", x0).dtype
    if dtype not in (torch.float32, torch.float64):
        raise TypeError(f"dtype must be torch.float32 or torch.float64; got {dtype}")
    if x0.ndim < 2 or 0 in x0.shape:
        raise ValueError(f"x0 must have shape (B, N) with at least one input; got {tuple(x0.shape)}")
    target = devices.place(device, x0)
    if target.type == "mps" and dtype == torch.float64:
        raise TypeError("device 'mps' has no float64: pass dtype=torch.float32")
    return _checks.finite("x0", x0.to(device=target, dtype=dtype))


def _observers(observe: Any) -> dict[str, Callable | None]:
    """Names mapped to callables, or to None for those of the table."""
    if not isinstance(observe, Iterable):
        raise TypeError(f"observe must hold names or callables, such as ['log_norm', 'angle']; got {observe!r}")
    items = observe.items() if isinstance(observe, dict) else [(getattr(o, "__name__", o), o) for o in ([observe] if isinstance(observe, str) else observe)]
    found: dict[str, Callable | None] = {}
    for name, observer in items:
        if isinstance(observer, str):
            _checks.choice("observe", observer, observables.TABLE)
        elif not callable(observer):
            raise TypeError(f"observe must hold names or callables; got {observer!r}")
        found[str(name)] = None if isinstance(observer, str) else observer
    if not found:
        raise ValueError("observe must name at least one observable")
    return found


def _depths(record: Sequence[int] | None, depth: int) -> np.ndarray:
    if record is None:
        return np.unique(np.linspace(0, depth, min(depth + 1, 257)).round().astype(np.int64))
    wanted = np.unique(np.asarray(record))
    if wanted.size == 0 or not np.issubdtype(wanted.dtype, np.integer) or wanted[0] < 0 or wanted[-1] > depth:
        raise ValueError(f"record must hold whole depths between 0 and depth={depth}; got {record!r}")
    return wanted.astype(np.int64)


@dataclass
class _Block:
    """One block of samples: its own random streams, its own slice of the results."""

    plan: Plan
    index: int
    samples: int
    keep: Callable[[int, str, Tensor], None]
    tick: Callable[[], None]

    def generator(self, layer: int) -> torch.Generator:
        home = torch.device("cpu") if self.plan.rng == "cpu" else self.plan.x0.device
        return stream(self.plan.seed, layer, self.index, home)

    def draw(self, depth: int, state: Tensor | None) -> LayerMap:
        plan = self.plan
        layer = plan.layer_at(depth) if plan.x0.ndim == 2 else plan.layer
        maker = layer.law if plan.route == "law" else layer.sample
        return maker(self.generator(depth), samples=self.samples, dtype=plan.x0.dtype, device=plan.x0.device, state=state)

    def hidden(self, depth: int, state: Tensor | None) -> Tensor | None:
        """The hidden state of a stationary layer at a depth, from the one before; its streams are apart from the maps'."""
        generator = self.generator(-depth)
        return self.plan.layer.start(generator, self.samples) if depth == 1 else self.plan.layer.advance(state, generator)

    def begin(self) -> Any:
        plan = self.plan
        if plan.pairs:
            return begin(plan.x0, self.samples, plan.homogeneous, plan.whole)
        return plan.x0.expand(self.samples, *plan.x0.shape)

    def step(self, layer_map: LayerMap, state: Any) -> Any:
        self.tick()
        if self.plan.pairs:
            return advance(layer_map, state, homogeneous=self.plan.homogeneous, fixes_zero=self.plan.layer.fixes_zero)
        return layer_map(state)

    def watch(self, place: int, depth: int, state: Any) -> None:
        plan = self.plan
        points = None
        for name, observer in plan.observers.items():
            if observer is None:
                value = observables.TABLE[name].compute(state, plan.layer_at(depth + 1))
            else:
                if points is None:
                    points = state.points() if plan.pairs else state
                value = observer(points)
                if not isinstance(value, Tensor) or value.ndim == 0 or value.shape[0] != self.samples:
                    raise ValueError(f"observe: {name} must map x of shape {tuple(points.shape)} to a tensor with first dimension "
                                     f"{self.samples}; got {tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__}")
            self.keep(place, name, value)

    def forward(self) -> None:
        plan, state, hidden = self.plan, self.begin(), None
        for depth in range(int(plan.record[-1]) + 1):
            if depth:
                hidden = self.hidden(depth, hidden)
                state = self.step(self.draw(depth, hidden), state)
            place = int(np.searchsorted(plan.record, depth))
            if plan.record[place] == depth:
                self.watch(place, depth, state)

    def backward(self) -> None:
        plan, hidden = self.plan, [None]
        for depth in range(1, int(plan.record[-1]) + 1):
            hidden.append(self.hidden(depth, hidden[-1]))
        for place, last in enumerate(plan.record.tolist()):
            state = self.begin()
            for depth in range(last, 0, -1):
                state = self.step(self.draw(depth, hidden[depth]), state)
            self.watch(place, last, state)


def _execute(plan: Plan, progress: bool) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Run the blocks on a pool of threads; each writes its own slice."""
    results: dict[str, np.ndarray] = {}
    done = np.zeros((plan.samples, len(plan.record)), dtype=bool)
    lock = threading.Lock()
    starts = np.cumsum([0, *plan.blocks])
    watched = list(plan.observers)

    def work(index: int, steps: _runs.Steps) -> None:
        rows = slice(starts[index], starts[index + 1])

        def keep(place: int, name: str, value: Tensor) -> None:
            array = value.detach().cpu().numpy()
            with lock:
                if name not in results:
                    kind = array.dtype if array.dtype.kind in "fc" else np.dtype("float64")
                    results[name] = np.full((plan.samples, len(plan.record), *array.shape[1:]), np.nan, dtype=kind)
            results[name][rows, place] = array
            if name == watched[-1]:
                done[rows, place] = True

        block = _Block(plan, index, plan.blocks[index], keep, steps.advance)
        with torch.no_grad():
            block.forward() if plan.order == "forward" else block.backward()

    layers = int(plan.record[-1]) if plan.order == "forward" else int(plan.record.sum())
    _runs.run_blocks(work, len(plan.blocks), steps=layers, unit="layer", name="simulate", progress=progress, device=plan.x0.device.type)
    return results, done


def _dataset(plan: Plan, results: dict[str, np.ndarray], done: np.ndarray) -> xarray.Dataset:
    import xarray

    interrupted = not done.all()
    if not done.any():
        raise KeyboardInterrupt("the run was interrupted before anything was recorded")
    rows, places = done.any(1), done.any(0)
    variables = {}
    for name, array in results.items():
        array = array[rows][:, places]
        size = array.shape[2:]
        inputs = plan.x0.shape[0]
        names = ["input"] if size[:1] == (inputs,) else [f"{name}_0"] * len(size[:1])
        dims = ["sample", "depth", *names, *(f"{name}_{k}" for k in range(1, len(size)))]
        seen = observables.TABLE[name] if plan.observers[name] is None else None
        if seen is not None and seen.local:
            dims[-1] = "site"
        if name == "alive" and not interrupted:
            array = array.astype(bool)
        attrs = {"long_name": seen.long_name, "units": seen.units, "refers_to": seen.refers_to} if seen else {"long_name": name, "refers_to": "x"}
        variables[name] = (dims, array, attrs)
    coords = {"sample": np.flatnonzero(rows), "depth": ("depth", plan.record[places], {"long_name": "depth", "units": "layers"}),
              "input": np.arange(plan.x0.shape[0])}
    provenance = {"versions": _runs.versions(), "arguments": plan.arguments}
    attrs = {"provenance": json.dumps(provenance), "seed": plan.seed, "route": plan.route, "order": plan.order, "interrupted": int(interrupted)}
    return xarray.Dataset(variables, coords, attrs)
