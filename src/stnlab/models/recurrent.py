"""Baselines on series that have no convolution."""

import torch
from torch import Tensor, nn

from stnlab.schema import LstmConfig


class Lstm(nn.Module):
    """A stacked LSTM; its last hour's output, after dropout, gives the classes.

    Input (N, 1, C, hours), output (N, classes).

    Source: Harutyunyan et al. (2019), the standard LSTM for in-hospital mortality.
    """

    def __init__(self, config: LstmConfig, channels: int, num_classes: int) -> None:
        super().__init__()
        between_layers = config.dropout if config.num_layers > 1 else 0.0
        self.lstm = nn.LSTM(
            channels, config.hidden, config.num_layers, batch_first=True, dropout=between_layers
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classes = nn.Linear(config.hidden, num_classes)

    def forward(self, views: Tensor) -> Tensor:
        (series,) = views.unbind(1)
        outputs, _ = self.lstm(series.transpose(1, 2))
        logits: Tensor = self.classes(self.dropout(outputs[:, -1]))
        return logits


class Logistic(nn.Module):
    """Logistic regression on each channel's last value, mean and range: the floor.

    Input (N, 1, C, hours), output (N, classes).
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.classes = nn.Linear(3 * channels, num_classes)

    def forward(self, views: Tensor) -> Tensor:
        (series,) = views.unbind(1)
        logits: Tensor = self.classes(summary_features(series))
        return logits


def summary_features(series: Tensor) -> Tensor:
    """Last value, mean and range of each channel, (N, C, hours) to (N, 3 C)."""
    extent = series.amax(dim=2) - series.amin(dim=2)
    return torch.cat([series[..., -1], series.mean(dim=2), extent], dim=1)
