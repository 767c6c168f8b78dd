"""A network is an optional spatial transformer and a classifier of its views."""

import math

import torch
from torch import Tensor, nn

from stnlab.data.randomness import Stream, derived_seed, generator
from stnlab.data.spec import DatasetSpec, ImageSpec, SeriesSpec, dataset_spec
from stnlab.models.classifier import ConvClassifier, FullyConnected
from stnlab.models.localization import Localization
from stnlab.models.series import Logistic, Lstm, TimeInRange
from stnlab.models.transformer import SpatialTransformer, TimeTransformer
from stnlab.schema import (
    CnnConfig,
    ExperimentConfig,
    FcnConfig,
    InitConfig,
    InitScheme,
    LogisticConfig,
    LstmConfig,
    MultiStnConfig,
    StnConfig,
    TimeInRangeConfig,
    TsStnConfig,
)

Transformer = SpatialTransformer | TimeTransformer


class Network(nn.Module):
    """Inputs (N, C, ...) to logits (N, classes); without a transformer the input is the view."""

    def __init__(self, transformer: Transformer | None, classifier: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer
        self.classifier = classifier

    def forward(self, inputs: Tensor) -> Tensor:
        return self.predict(inputs)[0]

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits (N, classes), and the thetas (N, ...) if there is a transformer."""
        views, theta = (
            (inputs[:, None], None) if self.transformer is None else self.transformer(inputs)
        )
        logits: Tensor = self.classifier(views)
        return logits, theta


def build_network(config: ExperimentConfig) -> Network:
    """The network of a config, with weights that follow from ``config.seed`` alone."""
    spec, model = dataset_spec(config.dataset), config.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(Stream.weights, config.seed))
        if isinstance(model, FcnConfig):
            num_inputs = spec.channels * math.prod(spec.size)
            return Network(None, FullyConnected(model, num_inputs, spec.num_classes))
        if isinstance(model, LstmConfig):
            return Network(None, Lstm(model, spec.channels, spec.num_classes))
        if isinstance(model, LogisticConfig):
            return Network(None, Logistic(spec.channels, spec.num_classes))
        if isinstance(model, TimeInRangeConfig):
            assert isinstance(spec, SeriesSpec)
            is_mask = [name.startswith("mask->") for name in spec.columns]
            return Network(None, TimeInRange(model, is_mask, spec.num_classes))
        assert isinstance(model, CnnConfig)
        if isinstance(model, TsStnConfig):
            return _time_transformer_network(config, model, spec)
        if isinstance(model, StnConfig):
            assert isinstance(spec, ImageSpec)
            return _transformer_network(config, model, spec)
        return Network(None, _classifier(model, spec, spec.channels, spec.size))


def _transformer_network(config: ExperimentConfig, model: StnConfig, spec: ImageSpec) -> Network:
    is_multi = isinstance(model, MultiStnConfig)
    per_channel = is_multi and spec.channels > 1
    view_size = spec.object_size if is_multi else spec.size
    channels = 1 if per_channel else spec.channels
    num_thetas = model.num_predicted_thetas(spec.channels, spec.num_objects)
    localization = Localization(model.localization, channels, spec.size, (num_thetas, 2, 3))
    start = _start(config.init, config.seed, num_thetas * 6)
    if start is not None:
        localization.start_at(start.view(-1, 6).expand(num_thetas, 6))
    transformer = SpatialTransformer(
        localization, view_size, per_channel, config.padding.mode.name, model.align_corners
    )
    num_views = spec.num_objects if is_multi else 1
    return Network(transformer, _classifier(model, spec, channels, view_size, num_views))


def _time_transformer_network(
    config: ExperimentConfig, model: TsStnConfig, spec: DatasetSpec
) -> Network:
    localization = Localization(model.localization, spec.channels, spec.size, (4,))
    warp = _start(config.init, config.seed, 2)
    if warp is not None:
        slope_and_offset = torch.tensor([1.0, 0.0])
        localization.start_at(torch.cat([warp.flatten()[-2:], slope_and_offset]))
    transformer = TimeTransformer(
        localization, spec.size[0], config.padding.mode.name, model.align_corners
    )
    return Network(transformer, _classifier(model, spec, spec.channels, spec.size))


def _start(config: InitConfig, seed: int, num_values: int) -> Tensor | None:
    """What the localization network predicts at first; None leaves PyTorch's initialisation.

    ``seed`` is used by the Gaussian scheme alone, which draws ``num_values``.
    """
    if config.scheme is InitScheme.torch_default:
        return None
    if config.scheme is InitScheme.gaussian:
        return torch.randn(num_values, generator=generator(Stream.random_init, seed))
    return torch.tensor(config.theta)


def _classifier(
    model: CnnConfig,
    spec: DatasetSpec,
    channels: int,
    view_size: tuple[int, ...],
    num_views: int = 1,
) -> ConvClassifier:
    return ConvClassifier(model.classifier, channels, view_size, num_views, spec.num_classes)
