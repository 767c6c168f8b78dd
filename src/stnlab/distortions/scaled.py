"""What the distortions of Jaderberg et al. (2015) share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec
from stnlab.distortions.backends import Backend
from stnlab.errors import UserError
from stnlab.parts import DistortionPart
from stnlab.rules import require

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from stnlab.schema import ExperimentConfig

_MAX_SCALE = 4.0


@dataclass
class Scaled(DistortionPart):
    """A random isotropic scale about the image's centre, uniform in a range, and what follows."""

    min_scale: float = 1.0
    max_scale: float = 1.0
    backend: Backend = Backend.tensor

    @property
    def is_none(self) -> bool:
        return self.min_scale == self.max_scale == 1

    def draw_scale(self, num_images: int, rng: "torch.Generator") -> "Tensor":
        """(num_images,), above 1 enlarges."""
        import torch

        uniform = torch.rand(num_images, generator=rng)
        return self.min_scale + (self.max_scale - self.min_scale) * uniform

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        if spec.is_series:
            raise UserError(
                f"this distortion does not go with dataset={config.dataset.name}: only images are "
                "distorted, and these are series of time. Use distortion=none."
            )
        require(
            0 < self.min_scale <= self.max_scale <= _MAX_SCALE,
            "distortion.min_scale and max_scale",
            f"{self.min_scale:g} to {self.max_scale:g}",
            f"a range within 0 (not included) to {_MAX_SCALE:g}, the smaller first",
        )
