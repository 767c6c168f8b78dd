"""The networks that look at their input and predict theta."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stnlab.layers.convolution import (
    Block,
    Norm,
    conv_pool_relu,
    in_a_row,
    norm,
    output_size,
    stride,
)
from stnlab.layers.lengths import inside

Bounded = tuple[Sequence[float], float]


class ThetaNetwork(nn.Module):
    """What ends in a linear layer whose output is theta, (N, num_views, num_parameters).

    ``bounded`` is a theta (num_parameters) and how far from it an entry may come: of what the last
    layer says, t, the output is ``theta + bound * tanh((t - theta) / bound)``.
    """

    centre: Tensor

    def _end_with(
        self, width: int, num_views: int, num_parameters: int, bounded: Bounded | None
    ) -> None:
        self.theta = nn.Linear(width, num_views * num_parameters)
        self.theta_shape = (num_views, num_parameters)
        self.bound = None
        if bounded is not None:
            centre, self.bound = bounded
            self.register_buffer("centre", torch.tensor(centre), persistent=False)

    def _theta(self, hidden: Tensor) -> Tensor:
        theta: Tensor = self.theta(hidden)
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


class Localization(ThetaNetwork):
    """Blocks of convolution, max-pool 2 and ReLU; a hidden layer; one theta or several.

    Source: SEED section 4.1.2. Input (N, channels, height, width) or (N, channels, steps), output
    (N, num_views, num_parameters). Batch norm stands between each convolution and its pooling. At
    ``half_size`` the input is pooled first, by its mean; without ``last_pool`` the last block has
    no pooling. Of series with ``lengths`` (N,), which are 0 past their end, a feature whose window
    begins there is 0, too.
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
        *,
        batch_norm: bool = False,
        half_size: bool = False,
        last_pool: bool = True,
        bounded: Bounded | None = None,
    ) -> None:
        super().__init__()
        self.half_size, self.last_pool = half_size, last_pool
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
        if half_size:
            size = tuple(length // 2 for length in size)
        left = output_size(size, *kernel_sizes)
        if not last_pool:
            before_last = output_size(size, *kernel_sizes[:-1])
            left = tuple(length - kernel_sizes[-1] + 1 for length in before_last)
        self.hidden = nn.Linear(channels[-1] * math.prod(left), hidden)
        self._end_with(hidden, num_views, num_parameters, bounded)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        if self.half_size:
            inputs = (F.avg_pool1d if inputs.dim() == 3 else F.avg_pool2d)(inputs, 2)
        features = in_a_row(inputs, *self.blocks, norms=self.norms, last_pool=self.last_pool)
        if lengths is not None:
            step = (
                stride(self.blocks) * (2 if self.half_size else 1) // (1 if self.last_pool else 2)
            )
            features = features * inside(lengths, features.shape[2], step)
        return self._theta(self.hidden(features.flatten(1)).relu_())


class DenseLocalization(ThetaNetwork):
    """Hidden layers with ReLU; one theta or several. Input (N, ...) of ``num_inputs`` in all.

    Source: the localization network of the ST-FCN of Jaderberg et al. (2015).
    """

    def __init__(
        self,
        hidden: Sequence[int],
        num_inputs: int,
        num_views: int,
        num_parameters: int,
        *,
        bounded: Bounded | None = None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise((num_inputs, *hidden)):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self._end_with(hidden[-1], num_views, num_parameters, bounded)

    def forward(self, inputs: Tensor) -> Tensor:
        return self._theta(self.layers(inputs))
