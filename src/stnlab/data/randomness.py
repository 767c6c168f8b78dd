"""Random numbers keyed by what they are for, so that they do not depend on what came before.

A key is a tuple of whole numbers such as (seed, epoch, stream). The same key gives the same
numbers on every device, with any number of workers, resumed or not.

NumPy's SeedSequence does not tell a key from one that goes on with zeros: keys of one stream need
one length. Those of distortions have two, and (s, 6) of training is (s, test_distortion, 0); see
docs/decisions.md. To part them would be to change the numbers of every run.
"""

from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """What a random number is for; never renumber, or old results change."""

    weights = 0
    order = 1
    distortion = 2
    dropout = 3
    split = 4
    pairs = 5
    test_distortion = 6
    val_distortion = 7
    random_init = 8


def derived_seed(stream: Stream, *key: int) -> int:
    """A 63-bit seed from ``key``, well mixed (NumPy's SeedSequence)."""
    state = np.random.SeedSequence([int(stream), *key]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def generator(stream: Stream, *key: int) -> torch.Generator:
    """A CPU generator for ``key``."""
    return torch.Generator().manual_seed(derived_seed(stream, *key))
