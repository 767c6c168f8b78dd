"""Random rotation, translation and scale of digits, a batch at a time.

Two backends take the same parameters: ``tensor`` (the default, on any device) and ``pil``, the
reference that SEED uses. They agree up to PIL's rounding down to whole grey levels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stnlab.warp.affine import affine_grid, similarity_theta
from stnlab.warp.sampling import sample


@dataclass(frozen=True)
class Ranges:
    """Amounts of a random distortion, each uniform in +/- the amount.

    ``rotation`` in degrees, ``translation`` in fractions of the width, ``scale`` in 1 +/- amount.
    """

    rotation: float = 0.0
    translation: float = 0.0
    scale: float = 0.0

    def __bool__(self) -> bool:
        """Whether anything is distorted at all."""
        return self.rotation != 0 or self.translation != 0 or self.scale != 0


def draw_thetas(num_images: int, ranges: Ranges, generator: torch.Generator) -> Tensor:
    """One random distortion for each image, (num_images, 2, 3), destination to source.

    Always draws four numbers an image, so that amounts can be compared on the same draws.
    """
    uniform = 2 * torch.rand(num_images, 4, generator=generator) - 1
    return similarity_theta(
        angle=ranges.rotation * uniform[:, 0],
        translation=ranges.translation * uniform[:, 1:3],
        scale=1 + ranges.scale * uniform[:, 3],
    )


def distort(images: Tensor, thetas: Tensor) -> Tensor:
    """Warp each image by its theta: bilinear, zero fill, about the image centre.

    As in PIL, the image ends at the edge of its outermost pixels, not at their centres: up to the
    edge it reads as the border, beyond it as 0.

    Args:
        images: (N, H, W) with H = W, uint8.
        thetas: (N, 2, 3), edges at -1 and 1.

    Returns:
        (N, H, W) float32 in [0, 255], not rounded.
    """
    size = (images.shape[1], images.shape[2])
    grid = affine_grid(thetas, size, align_corners=False)
    warped = sample(images[:, None].float(), grid, padding_mode="border", align_corners=False)
    distance = torch.maximum(grid[..., 0].abs(), grid[..., 1].abs())
    inside = torch.lt(distance, 1, out=torch.empty_like(distance))  # as numbers, not truth values
    return warped[:, 0].mul_(inside)


def distort_pil(images: Tensor, thetas: Tensor) -> Tensor:
    """The same as :func:`distort` with ``PIL.Image.transform``, an image at a time on the CPU.

    PIL's coordinates are pixels from the upper left corner, with pixel centres at halves.
    """
    height, width = images.shape[1], images.shape[2]
    norm_to_pixel = np.array([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]])
    pixel_to_norm = np.linalg.inv(norm_to_pixel)
    warped = np.empty((len(images), height, width), dtype=np.float32)
    for index, (image, theta) in enumerate(
        zip(images.cpu().numpy(), thetas.double().cpu().numpy(), strict=True)
    ):
        dst_norm_to_src_norm = np.vstack([theta, [0, 0, 1]])
        dst_pixel_to_src_pixel = norm_to_pixel @ dst_norm_to_src_norm @ pixel_to_norm
        transformed = Image.fromarray(image).transform(
            (width, height),
            Image.Transform.AFFINE,
            tuple(dst_pixel_to_src_pixel[:2].ravel()),
            resample=Image.Resampling.BILINEAR,
        )
        warped[index] = np.asarray(transformed)
    return torch.from_numpy(warped).to(images.device)
