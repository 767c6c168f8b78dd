"""The network that looks at its input and predicts theta."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from stnlab.layers.convolution import Block, Norm, conv_pool_relu, in_a_row, norm, output_size


class Localization(nn.Module):
    """Blocks of convolution, max-pool 2 and ReLU; a hidden layer; one theta or several.

    Source: SEED section 4.1.2. Input (N, channels, height, width) or (N, channels, steps), output
    (N, num_views, num_parameters).

    Batch norm stands between each convolution and its pooling. ``bounded`` is a theta
    (num_parameters) and how far from it an entry may come: of what the last layer says, t, the
    output is ``theta + bound * tanh((t - theta) / bound)``.
    """

    centre: Tensor

    def __init__(
        self,
        channels: Sequence[int],
        kernel_sizes: Sequence[int],
        hidden: int,
        in_channels: int,
        size: tuple[int, ...],
        num_views: int,
        num_parameters: int,
        *,
        batch_norm: bool = False,
        bounded: tuple[Sequence[float], float] | None = None,
    ) -> None:
        super().__init__()
        blocks: list[Block] = []
        norms: list[Norm] = []
        widths = pairwise((in_channels, *channels))
        for number, ((before, after), kernel_size) in enumerate(
            zip(widths, kernel_sizes, strict=True), start=1
        ):
            blocks.append(conv_pool_relu(len(size), before, after, kernel_size))
            self.add_module(f"block{number}", blocks[-1])
            if batch_norm:
                norms.append(norm(len(size), after))
                self.add_module(f"norm{number}", norms[-1])
        self.blocks, self.norms = tuple(blocks), tuple(norms)
        left = math.prod(output_size(size, *kernel_sizes))
        self.hidden = nn.Linear(channels[-1] * left, hidden)
        self.theta = nn.Linear(hidden, num_views * num_parameters)
        self.theta_shape = (num_views, num_parameters)
        self.bound = None
        if bounded is not None:
            centre, self.bound = bounded
            self.register_buffer("centre", torch.tensor(centre), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        features = in_a_row(inputs, *self.blocks, norms=self.norms).flatten(1)
        theta: Tensor = self.theta(self.hidden(features).relu_())
        theta = theta.view(-1, *self.theta_shape)
        if self.bound is None:
            return theta
        return self.centre + self.bound * ((theta - self.centre) / self.bound).tanh()

    @torch.no_grad()
    def start_at(self, theta: Tensor) -> None:
        """Predict ``theta`` (num_views, num_parameters) for every input until it learns."""
        if self.bound is not None:
            away = (theta.double() - self.centre) / self.bound
            theta = self.centre + self.bound * away.atanh()
        self.theta.weight.zero_()
        self.theta.bias.copy_(theta.flatten())
