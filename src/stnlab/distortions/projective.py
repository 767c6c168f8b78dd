"""A digit seen from elsewhere."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.distortions.backends import Backend, read, read_pil
from stnlab.distortions.scaled import Scaled
from stnlab.parts import add_distortion
from stnlab.rules import require

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from stnlab.data.spec import DatasetSpec
    from stnlab.schema import ExperimentConfig


@add_distortion("projective")
@dataclass
class Projective(Scaled):
    """Random scale, then the image's four corners are moved, each by a normal amount on each axis.

    Four corners have a picture between them only if none lies within the triangle of the others,
    and if the horizon does not cross the image's centre; corners that have none are drawn again
    (1.4% of those at a scale of 0.75 to 1 and 5 pixels of 28).

    Source: Jaderberg et al. (2015), appendix A.4, which says nothing of such corners.
    """

    corner_sd: float = 0.0  # pixels, the deviation on each axis

    @property
    def is_none(self) -> bool:
        return super().is_none and self.corner_sd == 0

    def draw(self, num_images: int, size: tuple[int, int], rng: "torch.Generator") -> "Tensor":
        """Homographies (num_images, 8), destination to source, edges at -1 and 1."""
        import torch

        from stnlab.geometry.projective import CORNERS, has_picture, theta_of_corners

        height, width = size
        at_rest = self.draw_scale(num_images, rng)[:, None, None] * torch.tensor(CORNERS)
        deviation = 2 * self.corner_sd / torch.tensor([width, height])
        corners = at_rest + deviation * torch.randn(num_images, 4, 2, generator=rng)
        while len(again := (~has_picture(corners)).nonzero()[:, 0]):
            moved = deviation * torch.randn(len(again), 4, 2, generator=rng)
            corners[again] = at_rest[again] + moved
        return theta_of_corners(corners)

    def apply(self, images: "Tensor", drawn: "Tensor") -> "Tensor":
        import torch

        from stnlab.geometry.projective import projective_grid

        if self.backend is Backend.pil:
            matrix = torch.cat([drawn, torch.ones_like(drawn[:, :1])], dim=1).view(-1, 3, 3)
            return read_pil(images, matrix)
        size = images.shape[2], images.shape[3]
        return read(images, projective_grid(drawn, size, align_corners=False))

    def check(self, config: "ExperimentConfig", spec: "DatasetSpec") -> None:
        super().check(config, spec)
        most = min(spec.size) / 2
        require(
            0 <= self.corner_sd <= most,
            "distortion.corner_sd",
            self.corner_sd,
            f"0 to {most:g} pixels, half of the image",
        )
