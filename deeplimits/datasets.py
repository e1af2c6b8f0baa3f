r"""Data that ships with a package: the 8 by 8 handwritten digits of scikit-learn (Part III, *The cut-off in contracting random layers*)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from deeplimits import _checks
from deeplimits.layers.base import resolve

Tensor = torch.Tensor

SPLITS = ("train", "test", "all")
TEST_SIZE = 450
_SPLIT_SEED = 0


@dataclass(frozen=True, eq=False)
class Digits:
    """Handwritten digits.

    Attributes:
        images: shape ``(n, 64)``, or ``(n, 8, 8)``.
        labels: the digits 0 to 9, shape ``(n,)``, int64.
        mean: what was taken off every image, of the shape of one image.
        scale: the number by which the images were divided.
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    scale: float

    def __len__(self) -> int:
        return self.labels.shape[0]


@lru_cache(maxsize=1)
def _raw() -> tuple[Tensor, Tensor, Tensor]:
    """All grey levels (0 to 16) and labels on the CPU, and the fixed shuffle behind the split."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = torch.tensor(data.data, dtype=torch.float64, device="cpu")
    labels = torch.tensor(data.target, dtype=torch.int64, device="cpu")
    shuffle = torch.randperm(len(labels), generator=torch.Generator(device="cpu").manual_seed(_SPLIT_SEED), device="cpu")
    return images, labels, shuffle


def digits(split: str = "train", *, flatten: bool = True, centred: bool = True, scaled: bool = True, dtype: torch.dtype | None = None,
           device: Any = None) -> Digits:
    r"""The 1797 handwritten digits of scikit-learn, 8 by 8 pixels, in a fixed split of 1347 and 450.

    Pixel means are taken off and the result is divided by one number, the root mean square over all pixels and images, so
    that an image has norm about 8. Both come from the training part, whatever the split.

    Args:
        split: ``"train"``, ``"test"`` or ``"all"``.
        flatten: vectors of 64 pixels instead of 8 by 8 pictures.
        centred: take off the mean of every pixel.
        scaled: divide by the root mean square.
        dtype: float32 or float64; torch's default if None.
        device: where the tensors live; the CPU if None.

    Returns:
        A :class:`Digits`.

    Raises:
        ValueError: an unknown split.

    Source:
        Alpaydin and Kaynak (1998), *Optical Recognition of Handwritten Digits*, UCI repository; copy in scikit-learn.

    Example:
        >>> data = digits("test")
        >>> data.images.shape, data.labels.shape
        (torch.Size([450, 64]), torch.Size([450]))
    """
    _checks.choice("split", split, SPLITS)
    dtype, device = resolve(None, dtype, device)
    images, labels, shuffle = _raw()
    train = shuffle[:-TEST_SIZE]
    mean = images[train].mean(dim=0) if centred else torch.zeros(64, dtype=torch.float64, device="cpu")
    scale = float((images[train] - mean).square().mean().sqrt()) if scaled else 1.0
    chosen = {"train": train, "test": shuffle[-TEST_SIZE:], "all": torch.arange(len(labels), device="cpu")}[split]
    shape = (64,) if flatten else (8, 8)
    pictures = ((images[chosen] - mean) / scale).reshape(-1, *shape).to(dtype=dtype, device=device)
    return Digits(pictures, labels[chosen].to(device), mean.reshape(shape).to(dtype=dtype, device=device), scale)


def digit_pair(digit: int | None = None, *, seed: int = 0, split: str = "all", flatten: bool = True, centred: bool = True,
               scaled: bool = True, generator: torch.Generator | None = None, dtype: torch.dtype | None = None,
               device: Any = None) -> Tensor:
    """Two different photographs of the same digit, ready to be the inputs of a run.

    Args:
        digit: which digit, 0 to 9; drawn if None.
        seed: picks the pair.
        split: the part of the data to draw from.
        flatten: as in :func:`digits`, with ``centred``, ``scaled``, ``dtype`` and ``device``.
        centred: take off the mean of every pixel.
        scaled: divide by the root mean square.
        generator: a CPU generator to use in place of ``seed``.
        dtype: float32 or float64; torch's default if None.
        device: where the tensor lives; the CPU if None.

    Returns:
        A tensor of shape ``(2, 64)``, or ``(2, 8, 8)``.

    Raises:
        ValueError: a digit outside 0 to 9, or an unknown split.

    Example:
        >>> digit_pair(3, seed=1).shape
        torch.Size([2, 64])
    """
    if generator is None:
        generator = torch.Generator(device="cpu").manual_seed(_checks.integer("seed", seed, minimum=0))
    data = digits(split, flatten=flatten, centred=centred, scaled=scaled, dtype=dtype, device=device)
    if digit is None:
        digit = int(torch.randint(10, (), generator=generator, device=generator.device))
    if _checks.integer("digit", digit, minimum=0) > 9:
        raise ValueError(f"digit must be one of 0, ..., 9; got {digit!r}")
    places = torch.nonzero(data.labels.cpu() == digit).squeeze(-1)
    picked = places[torch.randperm(len(places), generator=generator, device=generator.device)[:2].cpu()]
    return data.images[picked.to(data.images.device)]
