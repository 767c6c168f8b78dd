"""Alignment in time, and the nearest centroid."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec
from stnlab.models.series import require_series
from stnlab.models.stn import LocalizationKeys
from stnlab.models.transformer import WarpingModel
from stnlab.models.ts_stn import build_transformer, identity_over_time, start_over_time
from stnlab.parts import add_model

if TYPE_CHECKING:
    from torch import Tensor

    from stnlab.layers.network import Network
    from stnlab.schema import ExperimentConfig


@add_model("alignment")
@dataclass
class Alignment(WarpingModel):
    """A warp of time that lays the series of a class on each other; then the nearest class mean.

    Trained by the variance within classes instead of the cross-entropy. Source: Weber et al.
    (2019), Diffeomorphic temporal alignment nets.
    """

    localization: LocalizationKeys = field(default_factory=LocalizationKeys)
    align_corners: bool = True
    within_classes: bool = True  # false: all series towards one mean, without their labels

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require_series(self, config, spec)
        self.localization.check(spec.size)
        self.check_start(config, spec)

    # Values are left alone: the least variance of all is that of series times 0.

    def identity(self, config: "ExperimentConfig", spec: DatasetSpec) -> tuple[float, ...]:
        return identity_over_time(config.warp, spec, slope_and_offset=False)

    def start(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Tensor | None":
        return start_over_time(config, spec, slope_and_offset=False)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        from stnlab.layers.alignment import NearestCentroid
        from stnlab.layers.network import Network

        transformer = build_transformer(
            self, config, spec, slope_and_offset=False, align_corners=self.align_corners
        )
        sizes = spec.num_classes, spec.channels, spec.size[0]
        return Network(transformer, NearestCentroid(*sizes, within_classes=self.within_classes))
