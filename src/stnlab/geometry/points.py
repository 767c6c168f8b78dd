"""The pixels of an image as points, for warps that are not one product with theta."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def kept(make: Callable[..., Tensor], *arguments: Any, like: Tensor) -> Tensor:
    """What ``make`` makes of plain arguments in double precision, in the type of ``like``.

    It is made once, and kept as numpy's, which no mode of torch, fake tensors or derivative gets
    into: a graph that is exported has it as a constant. One that is compiled makes its own.
    """
    if torch.compiler.is_dynamo_compiling():
        return make(*arguments).to(dtype=like.dtype, device=like.device)
    return torch.as_tensor(_kept(make, *arguments), dtype=like.dtype, device=like.device)


@lru_cache(maxsize=64)
def _kept(make: Callable[..., Tensor], *arguments: Any) -> NDArray[np.float64]:
    with ThreadPoolExecutor(1) as thread:  # torch's modes and transforms hold for a thread
        made: NDArray[np.float64] = thread.submit(lambda: make(*arguments).numpy()).result()
    return made


def pixels(size: tuple[int, int], align_corners: bool) -> Tensor:
    """Every pixel of an image of (height, width), row by row, as (x, y, 1): (3, height * width).

    -1 and 1 are the outermost pixels' centres (``align_corners``), or their outer edges. In double
    precision, on the CPU.
    """
    y, x = (_axis(length, align_corners) for length in size)
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten(), torch.ones_like(rows).flatten()])


def _axis(length: int, align_corners: bool) -> Tensor:
    edge = 1.0 if align_corners else 1 - 1 / length
    if length == 1:
        edge = 0.0
    return torch.linspace(-edge, edge, length, dtype=torch.float64)
