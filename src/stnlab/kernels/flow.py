"""The flow of a piecewise-affine velocity and its derivative, by the compiled kernel of ``flow.c``.

What they compute is :func:`stnlab.geometry.cpab.displacement`, which asks :func:`takes` first.
"""

import torch
from torch import Tensor

from stnlab.kernels.compiled import call, sizes
from stnlab.kernels.compiled import takes as tensors_fit

_MAX_CELLS = 256  # as in flow.c


def takes(velocities: Tensor, at: Tensor) -> bool:
    """Whether the kernel computes this: times that nobody wants a gradient of, and not too many
    cells.
    """
    return (
        tensors_fit(velocities, at)
        and not (at.requires_grad and torch.is_grad_enabled())
        and velocities.shape[1] - 1 <= _MAX_CELLS
    )


def flow(velocities: Tensor, at: Tensor) -> Tensor:
    """Displacements (N, points) of velocities (N, cells + 1), at (points,) or (N, points)."""
    velocities, at = velocities.contiguous(), at.contiguous()
    moved = velocities.new_empty(len(velocities), at.shape[-1])
    _call("stnlab_flow", velocities, at, moved)
    return moved


def flow_backward(velocities: Tensor, at: Tensor, grad: Tensor) -> Tensor:
    """The gradient (N, cells + 1) of velocities, by that of displacements (N, points)."""
    velocities, at, grad = velocities.contiguous(), at.contiguous(), grad.contiguous()
    result = torch.empty_like(velocities)
    _call("stnlab_flow_backward", velocities, at, grad, result)
    return result


def _call(name: str, velocities: Tensor, at: Tensor, *others: Tensor) -> None:
    num_series, num_knots = velocities.shape
    stride = at.shape[1] if at.dim() == 2 else 0
    call(name, sizes(num_series, num_knots - 1, at.shape[-1], stride), velocities, at, *others)
