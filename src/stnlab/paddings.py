"""What lies outside the input."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from omegaconf import MISSING

from stnlab.data.spec import DatasetSpec, ImageSpec
from stnlab.errors import UserError
from stnlab.parts import DatasetPart, ImageDataset, PaddingPart, add_padding

if TYPE_CHECKING:
    from stnlab.schema import ExperimentConfig


class PaddingMode(Enum):
    """What a sampling point outside the input reads."""

    zeros = "zeros"  # 0 of normalised space
    border = "border"  # the nearest value of the border
    black = "black"  # what a pixel of 0 is in normalised space; images alone


@add_padding("padding")
@dataclass
class Padding(PaddingPart):
    """Zeros of normalised space, the nearest value of the border, or black."""

    mode: PaddingMode = MISSING

    @property
    def label(self) -> str:
        return self.mode.name

    def value(self, dataset: DatasetPart, spec: DatasetSpec) -> tuple[float, ...] | None:
        if self.mode is not PaddingMode.black:
            return None
        assert isinstance(dataset, ImageDataset)
        assert isinstance(spec, ImageSpec)
        return spec.black or spec.normalised(*dataset.normalisation()).black

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        if self.mode is PaddingMode.black and spec.is_series:
            raise UserError(
                f"padding=black does not go with dataset={config.dataset.name}: images have a "
                "black, a pixel of 0, and these are series of time, which have none. Use "
                "padding=border or padding=zeros."
            )
