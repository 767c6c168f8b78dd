"""The network that looks at its input and predicts theta."""

import math

import torch
from torch import Tensor, nn

from stnlab.models.convolution import conv_pool_relu, in_a_row, output_size
from stnlab.schema import LocalizationConfig


class Localization(nn.Module):
    """Two times convolution, max-pool 2, ReLU; a hidden layer; one theta or several.

    Source: SEED section 4.1.2. Input (N, channels, height, width) or (N, channels, hours), output
    (N, *theta_shape).
    """

    def __init__(
        self,
        config: LocalizationConfig,
        channels: int,
        size: tuple[int, ...],
        theta_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        first, second = config.channels
        kernel1, kernel2 = config.kernel_sizes
        self.block1 = conv_pool_relu(len(size), channels, first, kernel1)
        self.block2 = conv_pool_relu(len(size), first, second, kernel2)
        left = math.prod(output_size(size, kernel1, kernel2))
        self.hidden = nn.Linear(second * left, config.hidden)
        self.theta = nn.Linear(config.hidden, math.prod(theta_shape))
        self.theta_shape = theta_shape

    def forward(self, inputs: Tensor) -> Tensor:
        features = in_a_row(inputs, self.block1, self.block2).flatten(1)
        theta: Tensor = self.theta(self.hidden(features).relu_())
        return theta.view(-1, *self.theta_shape)

    @torch.no_grad()
    def start_at(self, theta: Tensor) -> None:
        """Predict ``theta`` (theta_shape) for every input until something is learned."""
        self.theta.weight.zero_()
        self.theta.bias.copy_(theta.flatten())
