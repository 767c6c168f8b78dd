"""The points of a homography and its derivative, by the compiled kernel of ``homography.c``.

What they compute is the plain form in :mod:`stnlab.geometry.projective`, which asks ``takes`` of
:mod:`stnlab.kernels.compiled` first.
"""

import ctypes

import torch
from torch import Tensor

from stnlab.kernels.compiled import call, sizes


def homography(theta: Tensor, points: Tensor, least_depth: float) -> Tensor:
    """Planes (N, 2, points) of theta (N, 8) and points (3, points)."""
    theta, points = theta.contiguous(), points.contiguous()
    planes = theta.new_empty(len(theta), 2, points.shape[1])
    _call("stnlab_homography", least_depth, theta, points, planes)
    return planes


def homography_backward(theta: Tensor, points: Tensor, least_depth: float, grad: Tensor) -> Tensor:
    """The gradient (N, 8) of theta, by that of the planes, (N, 2, points)."""
    theta, points = theta.contiguous(), points.contiguous()
    pairs = grad.transpose(1, 2).contiguous()  # as a grid's gradient lies in memory
    result = torch.empty_like(theta)
    _call("stnlab_homography_backward", least_depth, theta, points, pairs, result)
    return result


def _call(name: str, least_depth: float, theta: Tensor, points: Tensor, *others: Tensor) -> None:
    shape = sizes(len(theta), points.shape[1])
    call(name, shape, ctypes.c_float(least_depth), theta, points, *others)
