r"""Two regression problems: random points on the sphere, and the digits (Part VI, *Training under random masks*)."""

from __future__ import annotations

import torch

from deeplimits import _checks
from deeplimits.datasets import digits

Tensor = torch.Tensor


def random_task(n: int = 100, dim: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Uniform points on the unit sphere with labels +1 and -1 drawn at random.

    Args:
        n: number of samples.
        dim: dimension of the inputs.
        seed: of torch's CPU generator.

    Returns:
        Inputs of shape ``(n, dim)`` and labels of shape ``(n,)``, float32.

    Example:
        >>> X, y = random_task(100, 20)
        >>> X.shape, y.abs().unique().tolist()
        (torch.Size([100, 20]), [1.0])
    """
    shape = _checks.integer("n", n), _checks.integer("dim", dim)
    generator = torch.Generator(device="cpu").manual_seed(_checks.integer("seed", seed, minimum=0))
    X = torch.randn(*shape, generator=generator, dtype=torch.float32, device="cpu")
    y = torch.randint(2, (n,), generator=generator, device="cpu").to(torch.float32) * 2 - 1
    return X / torch.linalg.vector_norm(X, dim=-1, keepdim=True), y


def digits_task(n: int | None = None, split: str = "train") -> tuple[Tensor, Tensor]:
    """The 8 by 8 digits, centred and on the unit sphere, labelled +1 where the digit is even and -1 where it is odd.

    Args:
        n: how many, from the start of the split; all if None.
        split: ``"train"`` or ``"test"``.

    Returns:
        Inputs of shape ``(n, 64)`` and labels of shape ``(n,)``, float32.

    Raises:
        ValueError: more samples than the split has.

    Source:
        Alpaydin and Kaynak (1998), *Optical Recognition of Handwritten Digits*.

    Example:
        >>> X, y = digits_task(5, "test")
        >>> X.shape, y.tolist()
        (torch.Size([5, 64]), [...])
    """
    data = digits(split, dtype=torch.float32)
    n = len(data) if n is None else _checks.integer("n", n)
    if n > len(data):
        raise ValueError(f"n must be at most {len(data)}, the size of the split {split!r}; got {n}")
    X = data.images[:n]
    return X / torch.linalg.vector_norm(X, dim=-1, keepdim=True), 1.0 - 2.0 * (data.labels[:n] % 2).to(torch.float32)
