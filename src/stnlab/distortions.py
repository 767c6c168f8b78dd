"""What digits and images go through before the network sees them, a batch at a time.

Rotation, translation and scale have two backends with the same parameters: ``tensor`` (the default,
on any device) and ``pil``, the reference that SEED uses. They agree up to PIL's rounding down to
whole grey levels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec
from stnlab.parts import DistortionPart, add_distortion
from stnlab.rules import require

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from stnlab.schema import ExperimentConfig


class Backend(Enum):
    """What distorts the images."""

    tensor = "tensor"  # a batch at a time, on the run's device
    pil = "pil"  # an image at a time, with PIL: the reference, slow


@add_distortion("similarity")
@dataclass
class Similarity(DistortionPart):
    """Random rotation, translation and scale about the image's centre, each uniform."""

    rotation: float = 0.0  # degrees, in +/- the amount
    translation: float = 0.0  # fraction of the width, in +/- the amount, on each axis
    scale: float = 0.0  # isotropic, in 1 +/- the amount
    backend: Backend = Backend.tensor

    @property
    def is_none(self) -> bool:
        return self.rotation == 0 and self.translation == 0 and self.scale == 0

    def draw(self, num_images: int, size: tuple[int, int], rng: "torch.Generator") -> "Tensor":
        """Thetas (num_images, 2, 3), destination to source, edges at -1 and 1.

        Always draws four numbers an image, so that amounts can be compared on the same draws.
        """
        import torch

        from stnlab.geometry.affine import similarity_theta

        uniform = 2 * torch.rand(num_images, 4, generator=rng) - 1
        return similarity_theta(
            angle=self.rotation * uniform[:, 0],
            translation=self.translation * uniform[:, 1:3],
            scale=1 + self.scale * uniform[:, 3],
            aspect=size[1] / size[0],
        )

    def apply(self, images: "Tensor", drawn: "Tensor") -> "Tensor":
        return (distort if self.backend is Backend.tensor else distort_pil)(images, drawn)

    def affine(self, drawn: "Tensor", size: tuple[int, int]) -> "Tensor":
        from stnlab.geometry.affine import in_pixels

        return in_pixels(drawn, size, size, align_corners=False)

    def only(self, amounts: Mapping[str, float]) -> "Similarity":
        """These amounts, and none of the others, by the same backend."""
        return Similarity(**amounts, backend=self.backend)

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        if spec.is_series:
            for key in ("rotation", "translation", "scale"):
                require(
                    getattr(self, key) == 0,
                    f"distortion.{key}",
                    getattr(self, key),
                    f"0 for dataset={config.dataset.name}",
                    "Only images are distorted.",
                )
        require(0 <= self.rotation <= 180, "distortion.rotation", self.rotation, "0 to 180 degrees")
        require(
            0 <= self.translation <= 1,
            "distortion.translation",
            self.translation,
            "0 to 1 (fraction of the width)",
        )
        require(
            0 <= self.scale < 1,
            "distortion.scale",
            self.scale,
            "0 to below 1 (the scale is uniform in 1 +/- this)",
        )


def distort(images: "Tensor", thetas: "Tensor") -> "Tensor":
    """Warp each image by its theta: bilinear, zero fill, about the image centre.

    As in PIL, the image ends at the edge of its outermost pixels, not at their centres: up to the
    edge it reads as the border, beyond it as 0.

    Args:
        images: (N, C, H, W), uint8.
        thetas: (N, 2, 3), edges at -1 and 1.

    Returns:
        (N, C, H, W) float32 in [0, 255], not rounded.
    """
    import torch

    from stnlab.geometry.affine import affine_grid
    from stnlab.geometry.sampling import sample

    grid = affine_grid(thetas, (images.shape[2], images.shape[3]), align_corners=False)
    warped = sample(images.float(), grid, padding_mode="border", align_corners=False)
    distance = torch.maximum(grid[..., 0].abs(), grid[..., 1].abs())
    inside = torch.lt(distance, 1, out=torch.empty_like(distance))  # as numbers, not truth values
    return warped.mul_(inside[:, None])


def distort_pil(images: "Tensor", thetas: "Tensor") -> "Tensor":
    """The same as :func:`distort` with ``PIL.Image.transform``, an image at a time on the CPU.

    PIL's coordinates are pixels from the upper left corner, with pixel centres at halves.
    """
    import numpy as np
    import torch
    from PIL import Image

    height, width = images.shape[2:]
    norm_to_pixel = np.array([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]])
    pixel_to_norm = np.linalg.inv(norm_to_pixel)
    warped = np.empty(tuple(images.shape), dtype=np.float32)
    for index, (channels, theta) in enumerate(
        zip(images.cpu().numpy(), thetas.double().cpu().numpy(), strict=True)
    ):
        dst_norm_to_src_norm = np.vstack([theta, [0, 0, 1]])
        dst_pixel_to_src_pixel = norm_to_pixel @ dst_norm_to_src_norm @ pixel_to_norm
        for channel, image in enumerate(channels):
            transformed = Image.fromarray(image).transform(
                (width, height),
                Image.Transform.AFFINE,
                tuple(dst_pixel_to_src_pixel[:2].ravel()),
                resample=Image.Resampling.BILINEAR,
            )
            warped[index, channel] = np.asarray(transformed)
    return torch.from_numpy(warped).to(images.device)
