"""Random streams by name: what one part draws does not depend on which other parts draw."""

from __future__ import annotations

import numpy as np


def named(rng: np.random.Generator, name: str) -> np.random.Generator:
    """Return the generator that belongs to `name` under `rng`, which is not moved; the same pair, the same numbers."""
    seed = rng.bit_generator.seed_seq
    if not isinstance(seed, np.random.SeedSequence):
        raise ValueError("the generator was not made from a seed; use np.random.default_rng(seed)")
    key = int(seed.generate_state(1, np.uint64)[0])
    return np.random.default_rng(np.random.SeedSequence(key, spawn_key=tuple(name.encode())))
