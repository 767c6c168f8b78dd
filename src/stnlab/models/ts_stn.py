"""The transformer over time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec, SeriesSpec
from stnlab.models.series import require_series
from stnlab.models.stn import TransformerModel
from stnlab.parts import TimeWarp, add_model

if TYPE_CHECKING:
    from stnlab.layers.network import Network
    from stnlab.layers.transformer import TimeTransformer
    from stnlab.models.alignment import Alignment
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

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        from stnlab.layers.network import Network

        transformer = build_transformer(self, config, spec, slope_and_offset=self.slope_and_offset)
        classifier = self.classifier.build(spec.channels, spec.size, 1, spec.num_classes)
        return Network(transformer, classifier)


def build_transformer(
    model: "TsStn | Alignment",
    config: "ExperimentConfig",
    spec: DatasetSpec,
    *,
    slope_and_offset: bool,
) -> "TimeTransformer":
    """The localization network and the warp of a model over time, at its start."""
    from stnlab.layers.transformer import TimeTransformer

    warp = config.warp
    assert isinstance(warp, TimeWarp)
    variables = _variables(spec)
    num_warps = len(set(variables)) if warp.per_channel else 1
    num_parameters = num_warps * len(warp.parameter_names) + 2 * slope_and_offset
    localization = model.localization.build(spec.channels, spec.size, 1, num_parameters)
    start = config.init.start(warp, num_warps, config.seed)
    if start is not None:
        localization.start_at(TimeTransformer.start(start, slope_and_offset))
    return TimeTransformer(
        (spec.channels, *spec.size),
        warp,
        per_channel=variables if warp.per_channel else False,
        slope_and_offset=slope_and_offset,
        padding_mode=config.padding.label,
        align_corners=model.align_corners,
        localization=localization,
    )


def _variables(spec: DatasetSpec) -> list[str]:
    """What each channel is of: ``mask->x``, and the categories ``x->1`` and ``x->2``, are of x.

    So are all that are known at the start, ``static->…``, which no warp changes, of one.
    """
    columns = spec.columns if isinstance(spec, SeriesSpec) else ()
    if not columns:
        return [f"channel {place}" for place in range(spec.channels)]
    return [column.removeprefix("mask->").partition("->")[0] for column in columns]
