"""Functions of a time from 0 to 1 that are linear between knots at equal distances."""

import torch
from torch import Tensor


def interpolate(values: Tensor, at: Tensor) -> Tensor:
    """What lies between the values at the knots.

    Args:
        values: (N, knots), at 0, 1 / (knots - 1), … and 1.
        at: (points,) for all, or (N, points); in [0, 1].

    Returns:
        (N, points).
    """
    num_pieces = values.shape[1] - 1
    knots = torch.arange(num_pieces + 1, dtype=at.dtype, device=at.device)
    hats = (1 - (at[..., None] * num_pieces - knots).abs()).clamp(min=0)
    if at.dim() == 1:
        return values @ hats.T
    return (hats @ values[..., None])[..., 0]


def piece_of(edges: Tensor, at: Tensor) -> Tensor:
    """In which piece each point lies, from 0: how many of the edges are not beyond it.

    Args:
        edges: (N, edges), in order.
        at: (points,) for all, or (N, points).

    Returns:
        (N, points), 0 to edges.
    """
    return (edges[:, None] <= at[..., None]).sum(dim=2)
