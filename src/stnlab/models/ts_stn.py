"""The transformer over time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec
from stnlab.models.series import require_series
from stnlab.models.stn import TransformerModel
from stnlab.parts import TimeWarp, WarpPart, add_model

if TYPE_CHECKING:
    from torch import Tensor

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
        self.check_start(config, spec)

    def identity(self, warp: WarpPart) -> tuple[float, ...]:
        return (*warp.identity, 1.0, 0.0)  # slope and offset

    def start(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Tensor | None":
        from stnlab.layers.transformer import TimeTransformer

        start = super().start(config, spec)
        return None if start is None else TimeTransformer.start(start)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        from stnlab.layers.network import Network
        from stnlab.layers.transformer import TimeTransformer

        warp = config.warp
        assert isinstance(warp, TimeWarp)
        localization = self.localization.build(spec.channels, spec.size, 1, self.identity(warp))
        start = self.start(config, spec)
        if start is not None:
            localization.start_at(start)
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
