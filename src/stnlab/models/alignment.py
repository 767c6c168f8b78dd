"""Alignment in time, and the nearest centroid."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec
from stnlab.models.series import require_series
from stnlab.models.stn import LocalizationKeys
from stnlab.parts import ModelPart, add_model

if TYPE_CHECKING:
    from stnlab.layers.network import Network
    from stnlab.schema import ExperimentConfig


@add_model("alignment")
@dataclass
class Alignment(ModelPart):
    """A warp of time that lays the series of a class on each other; then the nearest class mean.

    Trained by the variance within classes instead of the cross-entropy. Source: Weber et al.
    (2019), Diffeomorphic temporal alignment nets.
    """

    localization: LocalizationKeys = field(default_factory=LocalizationKeys)
    align_corners: bool = True
    within_classes: bool = True  # false: all series towards one mean, without their labels

    @property
    def has_transformer(self) -> bool:
        return True

    def learning_rates(self) -> dict[str, float]:
        return {} if self.localization.lr is None else {"transformer": self.localization.lr}

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require_series(self, config, spec)
        self.localization.check(spec.size)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        from stnlab.layers.alignment import NearestCentroid
        from stnlab.layers.network import Network
        from stnlab.models.ts_stn import build_transformer

        # Values are left alone: the least variance of all is that of series times 0.
        transformer = build_transformer(self, config, spec, slope_and_offset=False)
        sizes = spec.num_classes, spec.channels, spec.size[0]
        return Network(transformer, NearestCentroid(*sizes, within_classes=self.within_classes))
