"""A network is an optional spatial transformer and a classifier of its views."""

import inspect
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stnlab.data.randomness import Stream, derived_seed
from stnlab.data.spec import DatasetSpec, SeriesSpec
from stnlab.errors import UserError
from stnlab.layers.lengths import ended
from stnlab.layers.transformer import Transformer

if TYPE_CHECKING:
    from stnlab.schema import ExperimentConfig


class Network(nn.Module):
    """Inputs (N, C, ...) to logits (N, classes); without a transformer the input is the view.

    Series of unequal length come with their ``lengths`` (N,) int64: what lies past a series' end
    counts for nothing, and a batch may end with its longest series.
    """

    num_steps: int | None = None  # of the longest series, where lengths are unequal

    def __init__(self, transformer: Transformer | None, classifier: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer
        self.classifier = classifier

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.predict(inputs, lengths)[0]

    def predict(
        self, inputs: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits (N, classes), and the thetas (N, V, parameters) if there is a transformer."""
        views, theta = self.look(inputs, lengths)
        return self.classify(views, lengths), theta

    def look(self, inputs: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """What the classifier reads, (N, V, C, ...), and the thetas if there is a transformer."""
        if lengths is not None:
            inputs = ended(inputs, lengths, self.num_steps)
        if self.transformer is None:
            return inputs[:, None], None
        warped: tuple[Tensor, Tensor] = self.transformer(inputs, *_if_any(lengths))
        return warped

    def classify(self, views: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (N, classes) of what :meth:`look` gives."""
        logits: Tensor = self.classifier(views, *_if_any(lengths))
        return logits


def _if_any(lengths: Tensor | None) -> tuple[Tensor, ...]:
    """Only networks on series take lengths, and only where these are unequal."""
    return () if lengths is None else (lengths,)


class OneView(nn.Module):
    """A module of inputs (N, C, ...) as a classifier of the one view (N, 1, C, ...) of each."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, views: Tensor, lengths: Tensor | None = None) -> Tensor:
        logits: Tensor = self.module(views.squeeze(1), *_if_any(lengths))
        return logits


def build_network(config: "ExperimentConfig", spec: DatasetSpec | None = None) -> Network:
    """The network of a config, with weights that follow from ``config.seed`` alone.

    ``spec`` is that of the config's dataset, which is asked if it is left out.
    """
    spec = spec or config.dataset.spec()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(Stream.weights, config.seed))
        built = config.model.build(config, spec)
    network = built if isinstance(built, Network) else Network(None, OneView(built))
    if isinstance(spec, SeriesSpec) and spec.unequal_lengths:
        _require_lengths(network, config)
        network.num_steps = spec.size[0]
    return network


def _require_lengths(network: Network, config: "ExperimentConfig") -> None:
    for module in (network.transformer, network.classifier):
        asked = module.module if isinstance(module, OneView) else module
        if asked is not None and "lengths" not in inspect.signature(asked.forward).parameters:
            raise UserError(
                f"model={config.model.name}: {type(asked).__name__} takes no lengths, and the "
                f"series of dataset={config.dataset.name} are of unequal length. Give its forward "
                "an argument lengths, (N,) int64 or None; or fill the series up."
            )
