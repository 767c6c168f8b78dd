"""The floor: a logistic regression."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec
from stnlab.models.series import require_series
from stnlab.parts import ModelPart, add_model

if TYPE_CHECKING:
    from stnlab.layers.network import Network
    from stnlab.schema import ExperimentConfig


@add_model("logistic")
@dataclass
class LogisticModel(ModelPart):
    """Logistic regression on each channel's last value, mean and range."""

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require_series(self, config, spec)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        from stnlab.layers.network import Network
        from stnlab.layers.series import Logistic

        return Network(None, Logistic(spec.channels, spec.num_classes))
