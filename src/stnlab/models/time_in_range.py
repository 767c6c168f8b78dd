"""Time spent in ranges of value, and a layer over the hours."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from omegaconf import MISSING

from stnlab.data.spec import DatasetSpec, SeriesSpec
from stnlab.models.series import require_series
from stnlab.parts import ModelPart, add_model
from stnlab.rules import MAX_WIDTH, require, require_count, require_probability

if TYPE_CHECKING:
    from stnlab.layers.network import Network
    from stnlab.schema import ExperimentConfig


@add_model("time-in-range")
@dataclass
class TimeInRangeModel(ModelPart):
    """See :class:`stnlab.layers.series.TimeInRange`."""

    knots: list[float] = MISSING  # where the ranges of a standardised value end, rising
    hidden: int = MISSING
    input_dropout: float = MISSING
    dropout: float = MISSING

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require_series(self, config, spec)
        knots = list(self.knots)
        require(
            len(knots) >= 2
            and all(low < high for low, high in pairwise(knots))
            and all(map(math.isfinite, knots)),
            "model.knots",
            knots,
            "two or more finite numbers, each above the one before",
        )
        require_count("model.hidden", self.hidden, MAX_WIDTH)
        require_probability("model.input_dropout", self.input_dropout)
        require_probability("model.dropout", self.dropout)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        from stnlab.layers.network import Network
        from stnlab.layers.series import TimeInRange

        assert isinstance(spec, SeriesSpec)
        is_mask = [name.startswith("mask->") for name in spec.columns]
        sizes = self.knots, self.hidden, self.input_dropout, self.dropout
        return Network(None, TimeInRange(*sizes, is_mask, spec.num_classes))
