"""MNIST digits on a black canvas that is larger than they are."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from stnlab.data.spec import DatasetSpec, ImageSpec
from stnlab.datasets.digits import DIGIT_SIZE, Digits, Layout
from stnlab.parts import add_dataset
from stnlab.rules import require

if TYPE_CHECKING:
    from stnlab.data.image_batches import Examples, ImageParts
    from stnlab.schema import ExperimentConfig

_MAX_CANVAS = 128


@add_dataset("canvas-digits")
@dataclass
class CanvasDigits(Digits):
    """Digits in the middle of a canvas, for a distortion to place them elsewhere.

    So ``clean`` is a digit as it is, in the middle of an empty canvas; ``distorted`` is what was
    trained on. Pixels are normalised as MNIST's own are, whatever the canvas's share of black.

    Source: Jaderberg et al. (2015), section 4.1 and appendix A.4.
    """

    factors: ClassVar[tuple[str, ...]] = (*Digits.factors, "corner_sd", "point_sd")

    layout: Layout = Layout.single
    canvas: int = DIGIT_SIZE  # pixels, of a side

    def spec(self) -> ImageSpec:
        spec, margin = super().spec(), self.margin
        (height, width), (top, across) = spec.object_size, spec.size
        return dataclasses.replace(
            spec,
            size=(top + 2 * margin, across + 2 * margin * (across // width)),
            object_size=(height + 2 * margin, width + 2 * margin),
        )

    @property
    def margin(self) -> int:
        """Pixels between a digit's own image and the canvas's edge, on each side."""
        return (self.canvas - DIGIT_SIZE) // 2

    def load(self) -> "ImageParts":
        parts = super().load()
        train, test = self._on_canvas(parts.train), self._on_canvas(parts.test)
        val = dataclasses.replace(parts.val, images=train.images)  # both are of the same images
        return dataclasses.replace(parts, train=train, val=val, test=test)

    def _on_canvas(self, examples: "Examples") -> "Examples":
        from torch.nn.functional import pad

        return dataclasses.replace(examples, images=pad(examples.images, [self.margin] * 4))

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        require(
            DIGIT_SIZE <= self.canvas <= _MAX_CANVAS and self.canvas % 2 == 0,
            "dataset.canvas",
            self.canvas,
            f"an even number of {DIGIT_SIZE} to {_MAX_CANVAS} pixels, so that it has a middle",
        )
        super().check(config, spec)
