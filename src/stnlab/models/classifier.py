"""What comes after the warp: features of each view, and the fully connected head."""

import math

from torch import Tensor, nn

from stnlab.models.convolution import conv_pool_relu, in_a_row, output_size
from stnlab.schema import ClassifierConfig, FcnConfig


class ConvClassifier(nn.Module):
    """Two convolutional blocks, shared by all views, then a hidden layer and the classes.

    Source: SEED sections 4.1.2, 4.2.2 and 5.2.2. Input (N, V, C, height, width) of images or
    (N, V, C, hours) of series, output (N, classes).
    """

    def __init__(
        self,
        config: ClassifierConfig,
        channels: int,
        size: tuple[int, ...],
        num_views: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        first, second = config.channels
        self.block1 = conv_pool_relu(len(size), channels, first, config.kernel_size)
        self.block2 = conv_pool_relu(len(size), first, second, config.kernel_size)
        self.channel_dropout = (nn.Dropout1d if len(size) == 1 else nn.Dropout2d)(config.dropout)
        left = math.prod(output_size(size, config.kernel_size, config.kernel_size))
        self.hidden = nn.Linear(num_views * second * left, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.classes = nn.Linear(config.hidden, num_classes)

    def forward(self, views: Tensor) -> Tensor:
        features = in_a_row(views.flatten(0, 1), self.block1, self.block2)
        features = self.channel_dropout(features)
        hidden = self.hidden(features.reshape(len(views), -1)).relu_()
        logits: Tensor = self.classes(self.dropout(hidden))
        return logits


class FullyConnected(nn.Module):
    """Hidden layers with ReLU and dropout, then the classes. Input (N, V, C, ...)."""

    def __init__(self, config: FcnConfig, num_inputs: int, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for width in config.hidden:
            layers += [nn.Linear(num_inputs, width), nn.ReLU(), nn.Dropout(config.dropout)]
            num_inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(num_inputs, num_classes))

    def forward(self, views: Tensor) -> Tensor:
        logits: Tensor = self.layers(views)
        return logits
