"""A digit somewhere on a canvas, and bits of others around it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec, ImageSpec
from stnlab.distortions.backends import Backend
from stnlab.distortions.scaled import Scaled
from stnlab.distortions.similarity import distort, distort_pil
from stnlab.parts import add_distortion
from stnlab.rules import require

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from stnlab.data.image_batches import Examples
    from stnlab.schema import ExperimentConfig

_WHITE = 255
_THETA = 6  # numbers
_CROP = 5  # numbers: whose, and the upper left corners of where from and where to
_MAX_CROPS = 1000


@add_distortion("canvas")
@dataclass
class Canvas(Scaled):
    """Random rotation and scale, then a random place on the canvas, then crops of other images.

    The object lies in a square about the image's centre, of ``side`` pixels. It is turned and
    scaled about it; then the scaled square goes to a place that is uniform among those where all
    of it is on the canvas. Where nothing is turned or scaled, the places are whole pixels, so that
    the object's own pixels are what is seen.

    A crop is ``crop_side`` pixels a side, from a uniform place within the square of another image
    of the same part (of training from training, of the test from the test), undistorted. It is
    added at a uniform place of the canvas, where white is the most there can be.

    Source: Jaderberg et al. (2015), appendix A.4. It does not say how crops and digit meet; that
    they are added, and that places are whole pixels, is as in mnist-cluttered, the code of the
    cluttered digits of Mnih et al. (2014).
    """

    side: int = 28  # pixels: of the square about the centre that holds the object
    rotation: float = 0.0  # degrees, in +/- the amount
    crops: int = 0  # how many
    crop_side: int = 6  # pixels

    @property
    def is_none(self) -> bool:
        return False  # it is placed anyway

    def draw(self, num_images: int, size: tuple[int, int], rng: "torch.Generator") -> "Tensor":
        """(num_images, 6 + 5 crops): theta, destination to source with edges at -1 and 1; then of
        each crop the image that it is of, the row and column where it begins there, and here.
        """
        import torch

        from stnlab.geometry.affine import similarity_theta

        height, width = size
        scale = self.draw_scale(num_images, rng)
        uniform = torch.rand(num_images, 3 + _CROP * self.crops, generator=rng)
        room = (torch.tensor([width, height]) - self.side * scale[:, None]).clamp(min=0) / 2
        if self.rotation == 0 and self.min_scale == self.max_scale == 1:
            shift = whole(uniform[:, 1:3], 2 * room + 1) - room
        else:
            shift = room * (2 * uniform[:, 1:3] - 1)
        angle = self.rotation * (2 * uniform[:, 0] - 1)
        theta = similarity_theta(angle, shift / width, scale, aspect=width / height)
        crops = uniform[:, 3:].view(num_images, self.crops, _CROP)
        own = torch.arange(num_images)[:, None]
        other = (own + 1 + whole(crops[..., 0], num_images - 1)) % num_images
        begin = torch.tensor([height - self.side, width - self.side]) // 2
        source = begin + whole(crops[..., 1:3], self.side - self.crop_side + 1)
        places = torch.tensor([height - self.crop_side + 1, width - self.crop_side + 1])
        placed = [other[..., None], source, whole(crops[..., 3:], places)]
        return torch.cat([theta.flatten(1), torch.cat(placed, dim=2).flatten(1)], dim=1)

    def apply(self, images: "Tensor", drawn: "Tensor") -> "Tensor":
        thetas = drawn[:, :_THETA].view(-1, 2, 3)
        return (distort if self.backend is Backend.tensor else distort_pil)(images, thetas)

    def apply_among(self, images: "Tensor", drawn: "Tensor", part: "Examples") -> "Tensor":
        canvas = self.apply(images, drawn)
        if self.crops == 0:
            return canvas
        width, flat = canvas.shape[3], part.images.flatten(2)
        steps = self._steps(width, canvas.device)
        for crop in drawn[:, _THETA:].view(-1, self.crops, _CROP).long().unbind(1):
            other = part.members.flatten()[crop[:, 0]]
            source = (crop[:, 1] * width + crop[:, 2])[:, None] + steps
            place = (crop[:, 3] * width + crop[:, 4])[:, None] + steps
            for channel in range(canvas.shape[1]):
                plane = canvas[:, channel].flatten(1)
                added = plane.gather(1, place) + flat[other[:, None], channel, source]
                plane.scatter_(1, place, added)
        return canvas.clamp_(max=_WHITE)

    def _steps(self, width: int, device: "torch.device") -> "Tensor":
        """Where a crop's pixels lie in a flat image from its first one on."""
        import torch

        line = torch.arange(self.crop_side, device=device)
        return (line[:, None] * width + line).flatten()

    def affine(self, drawn: "Tensor", size: tuple[int, int]) -> "Tensor":
        from stnlab.geometry.affine import in_pixels

        return in_pixels(drawn[:, :_THETA].view(-1, 2, 3), size, size, align_corners=False)

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        assert isinstance(spec, ImageSpec)
        least = min(spec.object_size)
        require(0 <= self.rotation <= 180, "distortion.rotation", self.rotation, "0 to 180 degrees")
        require(
            1 <= self.side <= least,
            "distortion.side",
            self.side,
            f"1 to {least} pixels, so that it is on the image",
        )
        require(0 <= self.crops <= _MAX_CROPS, "distortion.crops", self.crops, f"0 to {_MAX_CROPS}")
        require(
            1 <= self.crop_side <= self.side,
            "distortion.crop_side",
            self.crop_side,
            f"1 to {self.side} pixels, as distortion.side has it",
        )


def whole(uniform: "Tensor", below: "Tensor | float") -> "Tensor":
    """Uniform numbers in [0, 1) as whole ones from 0 to below ``below``."""
    return (uniform * below).floor()
