"""The network that looks at its input and predicts theta."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from stnlab.layers.convolution import Block, conv_pool_relu, in_a_row, output_size, stride
from stnlab.layers.lengths import inside


class Localization(nn.Module):
    """Blocks of convolution, max-pool 2 and ReLU; a hidden layer; one theta or several.

    Source: SEED section 4.1.2. Input (N, channels, height, width) or (N, channels, steps), output
    (N, num_views, num_parameters). Of series with ``lengths`` (N,), which are 0 past their end, a
    feature whose window begins there is 0, too.
    """

    def __init__(
        self,
        channels: Sequence[int],
        kernel_sizes: Sequence[int],
        hidden: int,
        in_channels: int,
        size: tuple[int, ...],
        num_views: int,
        num_parameters: int,
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
        left = math.prod(output_size(size, *kernel_sizes))
        self.hidden = nn.Linear(channels[-1] * left, hidden)
        self.theta = nn.Linear(hidden, num_views * num_parameters)
        self.theta_shape = (num_views, num_parameters)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        features = in_a_row(inputs, *self.blocks)
        if lengths is not None:
            features = features * inside(lengths, features.shape[2], stride(self.blocks))
        theta: Tensor = self.theta(self.hidden(features.flatten(1)).relu_())
        return theta.view(-1, *self.theta_shape)

    @torch.no_grad()
    def start_at(self, theta: Tensor) -> None:
        """Predict ``theta`` (num_views, num_parameters) for every input until it learns."""
        self.theta.weight.zero_()
        self.theta.bias.copy_(theta.flatten())
