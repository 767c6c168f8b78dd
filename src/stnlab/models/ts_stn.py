"""The transformer over time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec, SeriesSpec
from stnlab.models.series import require_series
from stnlab.models.stn import TransformerModel
from stnlab.models.transformer import WarpingModel
from stnlab.parts import TimeWarp, WarpPart, add_model

if TYPE_CHECKING:
    from torch import Tensor

    from stnlab.layers.network import Network
    from stnlab.layers.transformer import TimeTransformer
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
        return identity_over_time(config.warp, spec, self.slope_and_offset)

    def start(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Tensor | None":
        return start_over_time(config, spec, self.slope_and_offset)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        from stnlab.layers.network import Network

        transformer = build_transformer(
            *(self, config, spec),
            slope_and_offset=self.slope_and_offset,
            align_corners=self.align_corners,
        )
        classifier = self.classifier.build(spec.channels, spec.size, 1, spec.num_classes)
        return Network(transformer, classifier)


def identity_over_time(
    warp: WarpPart, spec: DatasetSpec, slope_and_offset: bool
) -> tuple[float, ...]:
    """Theta that changes nothing: of one warp or of each variable's, then slope and offset."""
    values = (1.0, 0.0) if slope_and_offset else ()
    return (*warp.identity * _num_warps(warp, spec), *values)


def start_over_time(
    config: "ExperimentConfig", spec: DatasetSpec, slope_and_offset: bool
) -> "Tensor | None":
    """Theta (1, parameters) that is predicted at first; None leaves PyTorch's own."""
    from stnlab.layers.transformer import TimeTransformer

    start = config.init.start(config.warp, _num_warps(config.warp, spec), config.seed)
    return None if start is None else TimeTransformer.start(start, slope_and_offset)


def build_transformer(
    model: WarpingModel,
    config: "ExperimentConfig",
    spec: DatasetSpec,
    *,
    slope_and_offset: bool,
    align_corners: bool,
) -> "TimeTransformer":
    """The localization network and the warp of a model over time, at its start."""
    from stnlab.layers.transformer import TimeTransformer

    warp = config.warp
    assert isinstance(warp, TimeWarp)
    return TimeTransformer(
        (spec.channels, *spec.size),
        warp,
        per_channel=_variables(spec) if warp.per_channel else False,
        slope_and_offset=slope_and_offset,
        padding_mode=config.padding.label,
        align_corners=align_corners,
        localization=model.at_start(config, spec, spec.channels, 1),
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
