"""The clinical reference: a small LSTM."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from omegaconf import MISSING

from stnlab.data.spec import DatasetSpec
from stnlab.models.series import require_series
from stnlab.parts import ModelPart, add_model
from stnlab.rules import MAX_LAYERS, MAX_WIDTH, require_count, require_probability

if TYPE_CHECKING:
    from stnlab.layers.network import Network
    from stnlab.schema import ExperimentConfig


@add_model("lstm")
@dataclass
class LstmModel(ModelPart):
    """A stacked LSTM. Source: Harutyunyan et al. (2019)."""

    hidden: int = MISSING
    num_layers: int = MISSING
    dropout: float = MISSING

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require_series(self, config, spec)
        require_count("model.hidden", self.hidden, MAX_WIDTH)
        require_count("model.num_layers", self.num_layers, MAX_LAYERS)
        require_probability("model.dropout", self.dropout)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        from stnlab.layers.network import Network
        from stnlab.layers.series import Lstm

        sizes = self.hidden, self.num_layers, self.dropout, spec.channels, spec.num_classes
        return Network(None, Lstm(*sizes))
