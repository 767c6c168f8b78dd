"""A network is an optional spatial transformer and a classifier of its views."""

import torch
from torch import Tensor, nn

from stnlab.data.randomness import Stream, derived_seed
from stnlab.data.spec import DatasetSpec, dataset_spec
from stnlab.models.classifier import ConvClassifier, FullyConnected
from stnlab.models.localization import Localization
from stnlab.models.transformer import SpatialTransformer
from stnlab.schema import (
    CnnConfig,
    ExperimentConfig,
    FcnConfig,
    MultiStnConfig,
    StnConfig,
)


class Network(nn.Module):
    """Images (N, C, H, W) to logits (N, classes); without a transformer the image is the view."""

    def __init__(self, transformer: SpatialTransformer | None, classifier: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        return self.predict(images)[0]

    def predict(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits (N, classes), and the thetas (N, V, 2, 3) if there is a transformer."""
        views, theta = (
            (images[:, None], None) if self.transformer is None else self.transformer(images)
        )
        logits: Tensor = self.classifier(views)
        return logits, theta


def build_network(config: ExperimentConfig) -> Network:
    """The network of a config, with weights that follow from ``config.seed`` alone."""
    spec, model = dataset_spec(config.dataset), config.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(Stream.weights, config.seed))
        if isinstance(model, FcnConfig):
            num_inputs = spec.channels * spec.height * spec.width
            return Network(None, FullyConnected(model, num_inputs, spec.num_classes))
        assert isinstance(model, CnnConfig)
        if not isinstance(model, StnConfig):
            return Network(None, _classifier(model, spec, (spec.height, spec.width), num_views=1))
        return _transformer_network(config, model, spec)


def _transformer_network(config: ExperimentConfig, model: StnConfig, spec: DatasetSpec) -> Network:
    is_multi = isinstance(model, MultiStnConfig)
    per_channel = is_multi and spec.channels > 1
    view_size = spec.object_size if is_multi else (spec.height, spec.width)
    channels = 1 if per_channel else spec.channels
    localization = Localization(
        model.localization,
        channels,
        (spec.height, spec.width),
        model.num_predicted_thetas(spec.channels, spec.num_objects),
    )
    localization.initialise(config.init, config.seed)
    transformer = SpatialTransformer(
        localization, view_size, per_channel, config.padding.mode.name, model.align_corners
    )
    num_views = spec.num_objects if is_multi else 1
    classifier = _classifier(model, spec, view_size, num_views, channels)
    return Network(transformer, classifier)


def _classifier(
    model: CnnConfig,
    spec: DatasetSpec,
    view_size: tuple[int, int],
    num_views: int,
    channels: int | None = None,
) -> ConvClassifier:
    return ConvClassifier(
        model.classifier, channels or spec.channels, view_size, num_views, spec.num_classes
    )
