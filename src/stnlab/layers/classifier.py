"""What comes after the warp: features of each view, and the fully connected head."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from stnlab.layers.convolution import Block, conv_pool_relu, in_a_row, output_size, stride
from stnlab.layers.lengths import inside


class ConvClassifier(nn.Module):
    """Convolutional blocks, shared by all views, then a hidden layer and the classes.

    Source: SEED sections 4.1.2, 4.2.2 and 5.2.2. Input (N, V, C, height, width) of images or
    (N, V, C, steps) of series, output (N, classes). Of series with ``lengths`` (N,), a feature
    whose window begins past the end is 0.
    """

    def __init__(
        self,
        channels: Sequence[int],
        kernel_sizes: Sequence[int],
        hidden: int,
        dropout: float,
        in_channels: int,
        size: tuple[int, ...],
        num_views: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        blocks: list[Block] = []
        widths = pairwise((in_channels, *channels))
        for number, ((before, after), kernel_size) in enumerate(
            zip(widths, kernel_sizes, strict=True), start=1
        ):
            blocks.append(conv_pool_relu(len(size), before, after, kernel_size))
            self.add_module(f"block{number}", blocks[-1])
        self.blocks = tuple(blocks)
        self.channel_dropout = (nn.Dropout1d if len(size) == 1 else nn.Dropout2d)(dropout)
        left = math.prod(output_size(size, *kernel_sizes))
        self.hidden = nn.Linear(num_views * channels[-1] * left, hidden)
        self.dropout = nn.Dropout(dropout)
        self.classes = nn.Linear(hidden, num_classes)

    def forward(self, views: Tensor, lengths: Tensor | None = None) -> Tensor:
        features = in_a_row(views.flatten(0, 1), *self.blocks)
        if lengths is not None:
            own = lengths.repeat_interleave(views.shape[1])
            features = features * inside(own, features.shape[2], stride(self.blocks))
        features = self.channel_dropout(features)
        hidden = self.hidden(features.reshape(-1, self.hidden.in_features)).relu_()
        logits: Tensor = self.classes(self.dropout(hidden))
        return logits


class FullyConnected(nn.Module):
    """Hidden layers with ReLU and dropout, then the classes. Input (N, V, C, ...).

    Of series with ``lengths`` (N,) it reads what they are past their end, which is 0.
    """

    def __init__(
        self, hidden: Sequence[int], dropout: float, num_inputs: int, num_classes: int
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for width in hidden:
            layers += [nn.Linear(num_inputs, width), nn.ReLU(), nn.Dropout(dropout)]
            num_inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(num_inputs, num_classes))

    def forward(self, views: Tensor, lengths: Tensor | None = None) -> Tensor:
        logits: Tensor = self.layers(views)
        return logits
