"""Affine warps of images: from parameters to theta, from theta to the grid of sampling points.

Convention, stated once for the project:

* ``theta`` (..., 2, 3) maps a point of the *destination* to the point of the *source* that it is
  read from: ``dst_norm_to_src_norm``, in normalised coordinates, so a theta that halves zooms in.
* Points are (x, y), x to the right and y down; the first row of theta gives x. Flat, the order is
  [theta11, theta12, theta13, theta21, theta22, theta23]; the identity is [1, 0, 0, 0, 1, 0].
* -1 and 1 are the centres of the outermost pixels (``align_corners=True``) or their outer edges
  (``False``).
* What lies outside the source is the sampler's business (:mod:`stnlab.geometry.sampling`).

Source: Jaderberg et al. (2015), section 3.2, equation 1.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode


def affine_grid(theta: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """The source point of every destination pixel, like :func:`torch.nn.functional.affine_grid`.

    The grid is linear in theta, so it is one matrix product of the thetas with the grids of the six
    unit thetas; forward and backward take a sixth of torch's batched product. The x and the y
    plane lie one after the other in memory, which sampler and masks go through fastest.

    Convention: module docstring.

    Args:
        theta: (N, 2, 3), destination to source.
        size: (height, width) of the destination, in pixels.
        align_corners: what -1 and 1 mean, in destination and source alike.

    Returns:
        (N, height, width, 2), normalised (x, y).
    """
    planes = theta.reshape(-1, 6) @ _unit_planes(theta, size, align_corners)
    return planes.view(-1, 2, *size).permute(0, 2, 3, 1)


def _unit_planes(theta: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """(6, 2 * height * width): the x and y planes that each entry of theta contributes.

    Kept for plain tensors. A graph that is traced, fake tensors and other kinds get their own.
    """
    if type(theta) is not Tensor:
        return _planes_of(theta.new_ones(6).diag(), size, align_corners)
    if torch.compiler.is_compiling() or is_in_torch_dispatch_mode():
        unit_thetas = torch.eye(6, dtype=theta.dtype, device=theta.device)
        return _planes_of(unit_thetas, size, align_corners)
    return _kept_unit_planes(size, align_corners, theta.dtype, theta.device)


@lru_cache(maxsize=32)
def _kept_unit_planes(
    size: tuple[int, int], align_corners: bool, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Made in a thread of its own, as torch's modes and transforms hold for a thread: what an
    inference mode or a derivative has made could not serve a later step.
    """
    with ThreadPoolExecutor(1) as thread:
        unit_thetas = thread.submit(torch.eye, 6, dtype=dtype, device=device)
        return thread.submit(_planes_of, unit_thetas.result(), size, align_corners).result()


def _planes_of(thetas: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """(6, 6) flat thetas to the planes of their grids."""
    grids = F.affine_grid(thetas.view(6, 2, 3), [6, 1, *size], align_corners=align_corners)
    return grids.permute(0, 3, 1, 2).reshape(6, -1)


def similarity_theta(
    angle: Tensor, translation: Tensor, scale: Tensor, aspect: float = 1.0
) -> Tensor:
    """Theta that rotates, scales and shifts an image's content about its centre.

    The content is rotated by ``angle``, scaled by ``scale``, then shifted by ``translation``; theta
    is the inverse map, destination to source. Edges at -1 and 1: use ``align_corners=False``.

    Args:
        angle: (N,), degrees, counter-clockwise as seen on the screen (as PIL's ``rotate``).
        translation: (N, 2), (x, y) as a fraction of the width; positive is right and down.
        scale: (N,), above 1 enlarges.
        aspect: the image's width by its height; its pixels are square.

    Returns:
        (N, 2, 3).
    """
    radians = torch.deg2rad(angle)
    cos, sin = torch.cos(radians) / scale, torch.sin(radians) / scale
    shift_x, shift_y = 2 * translation[:, 0], 2 * translation[:, 1]  # the image is 2 wide
    first = torch.stack([cos, -sin, sin * shift_y - cos * shift_x], dim=1)
    second = torch.stack([sin, cos, -sin * shift_x - cos * shift_y], dim=1)
    theta = torch.stack([first, second], dim=1)
    if aspect != 1:  # half a height is not half a width
        theta *= theta.new_tensor([[1, 1 / aspect, 1], [aspect, 1, aspect]])
    return theta


def in_pixels(
    theta: Tensor,
    source_size: tuple[int, int],
    destination_size: tuple[int, int],
    align_corners: bool,
) -> Tensor:
    """Theta in pixels from the centres of source and destination instead of normalised units.

    Args:
        theta: (N, 2, 3), destination to source.
        source_size, destination_size: (height, width), in pixels.
        align_corners: what -1 and 1 mean in theta.

    Returns:
        (N, 2, 3).
    """
    source, destination = (
        theta.new_tensor(
            [(width - align_corners) / 2, (height - align_corners) / 2]  # pixels from 0 to 1
        )
        for height, width in (source_size, destination_size)
    )
    return theta * source[:, None] / torch.cat([destination, destination.new_ones(1)])


def determinant(theta: Tensor) -> Tensor:
    """Determinant of theta's linear part, (...,): area of source read per area of destination."""
    return theta[..., 0, 0] * theta[..., 1, 1] - theta[..., 0, 1] * theta[..., 1, 0]


def share_outside(theta: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Share of the sampling grid that falls outside the source, in [0, 1].

    Args:
        theta: (..., 2, 3).
        size: (height, width) of the destination, in pixels.
        align_corners: see the module docstring. A point between the centre of an outermost pixel
            and its edge counts as outside for True, as inside for False.

    Returns:
        (...,).
    """
    grid = affine_grid(theta.reshape(-1, 2, 3), size, align_corners)
    return share_of_grid_outside(grid).reshape(theta.shape[:-2])


def share_of_grid_outside(grid: Tensor) -> Tensor:
    """Share of the points of grids (N, height, width, 2) that fall outside the source, (N,).

    What is outside is what :func:`share_outside` says.
    """
    return (grid.abs() > 1 + 1e-6).any(dim=-1).to(grid.dtype).mean(dim=(1, 2))


def area_of_grid(grid: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Median area, in pixels of an image, between neighbouring points of a grid: (N,).

    Args:
        grid: (N, height, width, 2), normalised (x, y) with -1 and 1 at the outermost centres.
        image_size: (height, width) of the image, in pixels.
    """
    height, width = image_size
    pixels = grid * grid.new_tensor([(width - 1) / 2, (height - 1) / 2])
    right = pixels[:, :-1, 1:] - pixels[:, :-1, :-1]
    down = pixels[:, 1:, :-1] - pixels[:, :-1, :-1]
    area = right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]
    return area.abs().flatten(1).median(dim=1).values
