"""The transformer over time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec, SeriesSpec
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
    """One warp of time, or one for each channel, and a slope and an offset of the values.

    Source: SEED section 5.2.2.
    """

    slope_and_offset: bool = True

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require_series(self, config, spec)
        self.classifier.check(spec.size)
        self.localization.check(spec.size)
        self.check_start(config, spec)

    def identity(self, config: "ExperimentConfig", spec: DatasetSpec) -> tuple[float, ...]:
        values = (1.0, 0.0) if self.slope_and_offset else ()
        return (*config.warp.identity * _num_warps(config.warp, spec), *values)

    def start(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Tensor | None":
        from stnlab.layers.transformer import TimeTransformer

        start = config.init.start(config.warp, _num_warps(config.warp, spec), config.seed)
        return None if start is None else TimeTransformer.start(start, self.slope_and_offset)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        from stnlab.layers.network import Network
        from stnlab.layers.transformer import TimeTransformer

        warp = config.warp
        assert isinstance(warp, TimeWarp)
        identity = self.identity(config, spec)
        localization = self.localization.build(spec.channels, spec.size, 1, identity)
        start = self.start(config, spec)
        if start is not None:
            localization.start_at(start)
        transformer = TimeTransformer(
            (spec.channels, *spec.size),
            warp,
            per_channel=_variables(spec) if warp.per_channel else False,
            slope_and_offset=self.slope_and_offset,
            padding_mode=config.padding.label,
            align_corners=self.align_corners,
            localization=localization,
        )
        return Network(
            transformer, self.classifier.build(spec.channels, spec.size, 1, spec.num_classes)
        )


def _num_warps(warp: WarpPart, spec: DatasetSpec) -> int:
    is_one = not (isinstance(warp, TimeWarp) and warp.per_channel)
    return 1 if is_one else len(set(_variables(spec)))


def _variables(spec: DatasetSpec) -> list[str]:
    """What each channel is of: ``mask->x``, and the categories ``x->1`` and ``x->2``, are of x.

    So are all that are known at the start, ``static->…``, which no warp changes, of one.
    """
    columns = spec.columns if isinstance(spec, SeriesSpec) else ()
    if not columns:
        return [f"channel {place}" for place in range(spec.channels)]
    return [column.removeprefix("mask->").partition("->")[0] for column in columns]
