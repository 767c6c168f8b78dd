"""Series of unequal length in one batch: which steps are a series' own, and means over those.

Past its end a series is 0, and so is what a network makes of it: what is computed of a series does
not depend on how far its batch is padded.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def inside(lengths: Tensor, num_steps: int, stride: int = 1) -> Tensor:
    """Which of so many places, ``stride`` steps apart, begin before each series' end.

    ``lengths`` (N,) in steps to (N, 1, num_steps) bool.
    """
    places = torch.arange(num_steps, device=lengths.device) * stride
    return (places < lengths[:, None])[:, None]


def ended(series: Tensor, lengths: Tensor, num_steps: int | None = None) -> Tensor:
    """Series (N, C, steps) with 0 past their ends, padded to ``num_steps`` where that is more."""
    kept = torch.where(inside(lengths, series.shape[2]), series, 0)
    missing = 0 if num_steps is None else num_steps - series.shape[2]
    return F.pad(kept, (0, missing)) if missing > 0 else kept


def last(series: Tensor, lengths: Tensor | None) -> Tensor:
    """The value at each series' last step: (N, C, steps) to (N, C)."""
    if lengths is None:
        return series[..., -1]
    at = (lengths - 1)[:, None, None].expand(-1, series.shape[1], 1)
    return series.gather(2, at).squeeze(2)


def mean(series: Tensor, lengths: Tensor | None) -> Tensor:
    """The mean over each series' own steps: (N, C, steps) to (N, C)."""
    if lengths is None:
        return series.mean(dim=2)
    return ended(series, lengths).sum(dim=2) / lengths[:, None]


def largest(series: Tensor, lengths: Tensor | None) -> Tensor:
    """The maximum over each series' own steps: (N, C, steps) to (N, C)."""
    if lengths is None:
        return series.amax(dim=2)
    own = torch.where(inside(lengths, series.shape[2]), series, -torch.inf)
    return own.amax(dim=2)
