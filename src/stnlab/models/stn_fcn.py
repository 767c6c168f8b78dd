"""The spatial transformer in front of the fully connected network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from omegaconf import MISSING

from stnlab.data.spec import DatasetSpec, ImageSpec
from stnlab.models.transformer import (
    ThetaKeys,
    WarpingModel,
    build_spatial_transformer,
    require_images,
)
from stnlab.parts import add_model
from stnlab.rules import require_probability, require_widths

if TYPE_CHECKING:
    from stnlab.layers.localization import DenseLocalization
    from stnlab.layers.network import Network
    from stnlab.schema import ExperimentConfig


@dataclass
class _Layers:
    hidden: list[int] = MISSING


@dataclass
class DenseLocalizationKeys(ThetaKeys, _Layers):
    """Fully connected layers that predict theta."""

    def check(self, size: tuple[int, ...]) -> None:
        require_widths("model.localization.hidden", self.hidden)
        super().check(size)

    def build(
        self,
        channels: int,
        size: tuple[int, ...],
        num_views: int,
        identity: Sequence[float],
    ) -> "DenseLocalization":
        from stnlab.layers.localization import DenseLocalization

        return DenseLocalization(
            *(self.hidden, channels * prod(size), num_views, len(identity)),
            bounded=self.bounded(identity),
        )


@add_model("stn-fcn")
@dataclass
class StnFcn(WarpingModel):
    """One warp of the whole input, then fully connected layers: no convolution anywhere.

    Source: the ST-FCN of Jaderberg et al. (2015), section 4.1.
    """

    localization: DenseLocalizationKeys = field(default_factory=DenseLocalizationKeys)
    hidden: list[int] = MISSING
    dropout: float = MISSING
    align_corners: bool = True  # as model=stn has it

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require_images(self, config, spec)
        require_widths("model.hidden", self.hidden)
        require_probability("model.dropout", self.dropout)
        self.localization.check(spec.size)
        self.check_start(config, spec)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        from stnlab.layers.classifier import FullyConnected
        from stnlab.layers.network import Network

        assert isinstance(spec, ImageSpec)
        transformer = build_spatial_transformer(
            *(self, config, spec), view_size=spec.size, align_corners=self.align_corners
        )
        num_inputs = spec.channels * prod(spec.size)
        classifier = FullyConnected(self.hidden, self.dropout, num_inputs, spec.num_classes)
        return Network(transformer, classifier)
