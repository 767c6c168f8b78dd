"""Rotation, translation and scale."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec
from stnlab.distortions.backends import Backend, read, read_pil
from stnlab.parts import DistortionPart, add_distortion
from stnlab.rules import require

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from stnlab.schema import ExperimentConfig


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
    """Warp each image by its theta about its centre, as :mod:`stnlab.distortions.backends` says.

    Args:
        images: (N, C, H, W), uint8.
        thetas: (N, 2, 3), edges at -1 and 1.

    Returns:
        (N, C, H, W) float32 in [0, 255], not rounded.
    """
    from stnlab.geometry.affine import affine_grid

    size = images.shape[2], images.shape[3]
    return read(images, affine_grid(thetas, size, align_corners=False))


def distort_pil(images: "Tensor", thetas: "Tensor") -> "Tensor":
    """The same as :func:`distort` with PIL."""
    return read_pil(images, thetas)
