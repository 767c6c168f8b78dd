"""A network is an optional spatial transformer and a classifier of its views."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stnlab.data.randomness import Stream, derived_seed
from stnlab.data.spec import DatasetSpec
from stnlab.layers.transformer import Transformer

if TYPE_CHECKING:
    from stnlab.schema import ExperimentConfig


class Network(nn.Module):
    """Inputs (N, C, ...) to logits (N, classes); without a transformer the input is the view."""

    def __init__(self, transformer: Transformer | None, classifier: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer
        self.classifier = classifier

    def forward(self, inputs: Tensor) -> Tensor:
        return self.predict(inputs)[0]

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits (N, classes), and the thetas (N, V, parameters) if there is a transformer."""
        views, theta = self.look(inputs)
        logits: Tensor = self.classifier(views)
        return logits, theta

    def look(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the classifier reads, (N, V, C, ...), and the thetas if there is a transformer."""
        return (inputs[:, None], None) if self.transformer is None else self.transformer(inputs)


class OneView(nn.Module):
    """A module of inputs (N, C, ...) as a classifier of the one view (N, 1, C, ...) of each."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, views: Tensor) -> Tensor:
        logits: Tensor = self.module(views.squeeze(1))
        return logits


def build_network(config: "ExperimentConfig", spec: DatasetSpec | None = None) -> Network:
    """The network of a config, with weights that follow from ``config.seed`` alone.

    ``spec`` is that of the config's dataset, which is asked if it is left out.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(Stream.weights, config.seed))
        built = config.model.build(config, spec or config.dataset.spec())
    return built if isinstance(built, Network) else Network(None, OneView(built))
