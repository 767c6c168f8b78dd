"""The transformer over time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec
from stnlab.models.series import require_series
from stnlab.models.stn import TransformerModel
from stnlab.parts import TimeWarp, add_model

if TYPE_CHECKING:
    from stnlab.layers.network import Network
    from stnlab.schema import ExperimentConfig


@add_model("ts-stn")
@dataclass
class TsStn(TransformerModel):
    """One warp of time, and a slope and an offset of the values. Source: SEED section 5.2.2."""

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require_series(self, config, spec)
        self.classifier.check(spec.size)
        self.localization.check(spec.size)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        from stnlab.layers.network import Network
        from stnlab.layers.transformer import TimeTransformer

        warp = config.warp
        assert isinstance(warp, TimeWarp)
        num_parameters = len(warp.parameter_names) + 2  # slope and offset
        localization = self.localization.build(spec.channels, spec.size, 1, num_parameters)
        start = config.init.start(warp, 1, config.seed)
        if start is not None:
            localization.start_at(TimeTransformer.start(start))
        transformer = TimeTransformer(
            (spec.channels, *spec.size),
            warp,
            padding_mode=config.padding.label,
            align_corners=self.align_corners,
            localization=localization,
        )
        return Network(
            transformer, self.classifier.build(spec.channels, spec.size, 1, spec.num_classes)
        )
