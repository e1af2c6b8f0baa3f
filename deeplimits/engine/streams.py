"""Random streams keyed by (seed, layer, block): any layer can be drawn again, in any order (Part II, *The order of composition*)."""

from __future__ import annotations

import hashlib

import torch

from deeplimits import _checks

#: Numbers drawn at once: a block of samples fits in a processor's cache, and fills an accelerator.
BLOCK_NUMBERS = {"cpu": 1 << 18, "device": 1 << 23}


def block_sizes(samples: int, numbers_per_sample: int, rng: str) -> list[int]:
    """How the samples divide into blocks: by the size of one sample only, never by the memory at hand."""
    size = max(1, BLOCK_NUMBERS[rng] // max(1, numbers_per_sample))
    return [min(size, samples - start) for start in range(0, samples, size)]


def stream(seed: int, layer: int, block: int, device: torch.device) -> torch.Generator:
    """The generator of one layer in one block of samples.

    torch's CPU generator has 2**32 seeds; two (layer, block) pairs of one run may share one by chance, which repeats one
    layer's draw in another place and leaves every law as it is.
    """
    key = hashlib.blake2b(f"{_checks.integer('seed', seed, minimum=0)}:{layer}:{block}".encode(), digest_size=4).digest()
    generator = torch.Generator(device=device)
    generator.manual_seed(int.from_bytes(key, "little"))
    return generator
