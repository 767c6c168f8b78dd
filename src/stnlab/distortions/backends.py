"""Two ways of reading an image at the points of a warp, with the same parameters: ``tensor`` (the
default, on any device) and ``pil``, the reference that SEED uses. They agree up to PIL's rounding
down to whole grey levels.

As in PIL, an image ends at the edge of its outermost pixels, not at their centres: up to the edge
it reads as the border, beyond it as 0.
"""

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Backend(Enum):
    """What distorts the images."""

    tensor = "tensor"  # a batch at a time, on the run's device
    pil = "pil"  # an image at a time, with PIL: the reference, slow


def read(images: "Tensor", grid: "Tensor") -> "Tensor":
    """Read each image at the points of its grid, bilinear.

    Args:
        images: (N, C, H, W), uint8.
        grid: (N, H, W, 2), normalised (x, y) with the edges at -1 and 1.

    Returns:
        (N, C, H, W) float32 in [0, 255], not rounded.
    """
    import torch

    from stnlab.geometry.sampling import sample

    warped = sample(images.float(), grid, padding_mode="border", align_corners=False)
    distance = torch.maximum(grid[..., 0].abs(), grid[..., 1].abs())
    inside = torch.lt(distance, 1, out=torch.empty_like(distance))  # as numbers, not truth values
    return warped.mul_(inside[:, None])


def read_pil(images: "Tensor", dst_norm_to_src_norm: "Tensor") -> "Tensor":
    """Read each image by its matrix with ``PIL.Image.transform``, an image at a time on the CPU.

    PIL's coordinates are pixels from the upper left corner, with pixel centres at halves.

    Args:
        images: (N, C, H, W), uint8.
        dst_norm_to_src_norm: (N, 2, 3) of affine maps or (N, 3, 3) of projective ones, edges at -1
            and 1.

    Returns:
        (N, C, H, W) float32 in [0, 255], whole grey levels.
    """
    import numpy as np
    import torch
    from PIL import Image

    height, width = images.shape[2:]
    norm_to_pixel = np.array([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]])
    pixel_to_norm = np.linalg.inv(norm_to_pixel)
    is_affine = dst_norm_to_src_norm.shape[1] == 2
    warped = np.empty(tuple(images.shape), dtype=np.float32)
    for index, (channels, matrix) in enumerate(
        zip(images.cpu().numpy(), dst_norm_to_src_norm.double().cpu().numpy(), strict=True)
    ):
        whole = np.vstack([matrix, [0, 0, 1]]) if is_affine else matrix
        dst_pixel_to_src_pixel = norm_to_pixel @ whole @ pixel_to_norm
        coefficients = (dst_pixel_to_src_pixel / dst_pixel_to_src_pixel[2, 2]).ravel()
        for channel, image in enumerate(channels):
            transformed = Image.fromarray(image).transform(
                (width, height),
                Image.Transform.AFFINE if is_affine else Image.Transform.PERSPECTIVE,
                tuple(coefficients[: 6 if is_affine else 8]),
                resample=Image.Resampling.BILINEAR,
            )
            warped[index, channel] = np.asarray(transformed)
    return torch.from_numpy(warped).to(images.device)
