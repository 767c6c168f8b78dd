"""The fully connected baseline."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from omegaconf import MISSING

from stnlab.data.spec import DatasetSpec
from stnlab.parts import ModelPart, add_model
from stnlab.rules import require_probability, require_widths

if TYPE_CHECKING:
    from stnlab.layers.network import Network
    from stnlab.schema import ExperimentConfig


@add_model("fcn")
@dataclass
class Fcn(ModelPart):
    """Hidden layers with ReLU and dropout: no convolution, no warp."""

    hidden: list[int] = MISSING
    dropout: float = MISSING

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require_widths("model.hidden", self.hidden)
        require_probability("model.dropout", self.dropout)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        from stnlab.layers.classifier import FullyConnected
        from stnlab.layers.network import Network

        num_inputs = spec.channels * prod(spec.size)
        layers = FullyConnected(self.hidden, self.dropout, num_inputs, spec.num_classes)
        return Network(None, layers)
