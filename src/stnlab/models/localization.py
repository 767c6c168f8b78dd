"""The network that looks at an image and predicts theta."""

import torch
from torch import Tensor, nn

from stnlab.data.randomness import Stream, generator
from stnlab.models.convolution import ConvPoolRelu
from stnlab.schema import InitConfig, InitScheme, LocalizationConfig


class Localization(nn.Module):
    """Two times convolution, max-pool 2, ReLU; a hidden layer; one theta or several.

    Source: SEED section 4.1.2. Input (N, channels, height, width), output (N, num_thetas, 2, 3).
    """

    def __init__(
        self, config: LocalizationConfig, channels: int, size: tuple[int, int], num_thetas: int
    ) -> None:
        super().__init__()
        first, second = config.channels
        kernel1, kernel2 = config.kernel_sizes
        self.block1 = ConvPoolRelu(channels, first, kernel1)
        self.block2 = ConvPoolRelu(first, second, kernel2)
        height, width = self.block2.output_size(self.block1.output_size(size))
        self.hidden = nn.Linear(second * height * width, config.hidden)
        self.theta = nn.Linear(config.hidden, num_thetas * 6)
        self.num_thetas = num_thetas

    def forward(self, images: Tensor) -> Tensor:
        features = self.block2(self.block1(images)).flatten(1)
        theta: Tensor = self.theta(self.hidden(features).relu_())
        return theta.view(-1, self.num_thetas, 2, 3)

    @torch.no_grad()
    def initialise(self, config: InitConfig, seed: int) -> None:
        """Set where theta starts: the last layer's weight and bias.

        ``seed`` is used by the Gaussian scheme alone.
        """
        if config.scheme is InitScheme.torch_default:
            return
        self.theta.weight.zero_()
        if config.scheme is InitScheme.gaussian:
            rng = generator(Stream.random_init, seed)
            self.theta.bias.copy_(torch.randn(self.theta.bias.shape, generator=rng))
        else:
            rows = torch.tensor(config.theta)
            self.theta.bias.view(-1, 6).copy_(rows)
