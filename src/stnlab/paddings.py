"""What lies outside the input."""

from dataclasses import dataclass
from enum import Enum

from omegaconf import MISSING

from stnlab.parts import PaddingPart, add_padding


class PaddingMode(Enum):
    """What a sampling point outside the input reads."""

    zeros = "zeros"
    border = "border"


@add_padding("padding")
@dataclass
class Padding(PaddingPart):
    """Zeros of normalised space, or the nearest value of the border."""

    mode: PaddingMode = MISSING

    @property
    def label(self) -> str:
        return self.mode.name
