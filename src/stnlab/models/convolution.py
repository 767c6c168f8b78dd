"""The convolutional block that every network here is made of."""

from torch import Tensor, nn


class ConvPoolRelu(nn.Module):
    """Convolution (stride 1, no padding), optional Dropout2d, max-pool 2, ReLU.

    Input (N, in_channels, H, W), output (N, out_channels, (H-k+1)//2, (W-k+1)//2).
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size)
        self.dropout = nn.Dropout2d(dropout)
        self.pool = nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.dropout(self.pool(self.conv(images)))
        return pooled.relu_()

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the output for an input of ``size``."""
        kernel_height, kernel_width = self.conv.kernel_size
        return (size[0] - kernel_height + 1) // 2, (size[1] - kernel_width + 1) // 2
