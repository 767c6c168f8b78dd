"""Networks on series that have neither convolution nor warp.

Where series are of unequal length, ``lengths`` (N,) says where each is over: its last step is that
one, and means and maxima are over its own steps.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stnlab.layers.lengths import largest, last, mean


class Lstm(nn.Module):
    """A stacked LSTM; its last hour's output, after dropout, gives the classes.

    Input (N, 1, C, hours), output (N, classes).

    Source: Harutyunyan et al. (2019), the standard LSTM for in-hospital mortality.
    """

    def __init__(
        self, hidden: int, num_layers: int, dropout: float, channels: int, num_classes: int
    ) -> None:
        super().__init__()
        between_layers = dropout if num_layers > 1 else 0.0
        self.lstm = nn.LSTM(channels, hidden, num_layers, batch_first=True, dropout=between_layers)
        self.dropout = nn.Dropout(dropout)
        self.classes = nn.Linear(hidden, num_classes)

    def forward(self, views: Tensor, lengths: Tensor | None = None) -> Tensor:
        (series,) = views.unbind(1)
        outputs, _ = self.lstm(series.transpose(1, 2))
        logits: Tensor = self.classes(self.dropout(last(outputs.transpose(1, 2), lengths)))
        return logits


class Logistic(nn.Module):
    """Logistic regression on each channel's last value, mean and range: the floor.

    The 3 C summaries are standardised, or weight decay and step size would not suit them all.
    Input (N, 1, C, hours), output (N, classes).
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.standardise = RunningStandardise(3 * channels)
        self.classes = nn.Linear(3 * channels, num_classes)
        nn.init.zeros_(self.classes.weight)

    def forward(self, views: Tensor, lengths: Tensor | None = None) -> Tensor:
        (series,) = views.unbind(1)
        extent = largest(series, lengths) + largest(-series, lengths)
        summaries = torch.cat([last(series, lengths), mean(series, lengths), extent], dim=1)
        logits: Tensor = self.classes(self.standardise(summaries))
        return logits


class RunningStandardise(nn.Module):
    """Standardises features (N, F) by the mean and deviation of all that training has shown.

    Unlike batch normalisation, a batch of one will do, and a stay's value does not depend on the
    rest of its batch once training has seen many (Welford 1962, in batches).
    """

    num_seen: Tensor
    mean: Tensor
    sum_of_squares: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.register_buffer("num_seen", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("sum_of_squares", torch.zeros(num_features))

    def forward(self, features: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.num_seen += len(features)
                difference = features - self.mean
                self.mean += difference.sum(dim=0) / self.num_seen
                self.sum_of_squares += (difference * (features - self.mean)).sum(dim=0)
        deviation = (self.sum_of_squares / self.num_seen.clamp(min=1)).sqrt()
        return (features - self.mean) / torch.where(deviation > 1e-6, deviation, 1.0)


class TimeInRange(nn.Module):
    """Time that each channel spends in each range, beside a layer over the hours pooled in time.

    Every value is encoded by how far it has come through each of the ranges between the knots, 0
    to 1 (Gorishniy, Rubachev and Babenko 2022, piecewise linear encoding), so that a linear layer
    can answer high and low values differently. That layer sees the last hour's encoding, its mean
    over the hours (the time in range), and when each variable was measured. A second layer, the
    same for every hour, is pooled by its last hour, mean and maximum. Both give logits, which are
    added. Apart from the last hour, the order of the hours plays no part.

    Input (N, 1, C, hours), output (N, classes). ``is_mask`` (C,) tells the masks from the values.
    """

    lower: Tensor
    width: Tensor
    is_mask: Tensor

    def __init__(
        self,
        knots: Sequence[float],
        hidden: int,
        input_dropout: float,
        dropout: float,
        is_mask: Sequence[bool],
        num_classes: int,
    ) -> None:
        super().__init__()
        num_masks, num_ranges = sum(is_mask), len(knots) - 1
        edges = torch.tensor(list(knots))
        self.register_buffer("lower", edges[:-1, None], persistent=False)
        self.register_buffer("width", edges.diff()[:, None], persistent=False)
        self.register_buffer("is_mask", torch.tensor(list(is_mask)), persistent=False)
        num_encoded = (len(is_mask) - num_masks) * num_ranges
        self.in_range = nn.Linear(2 * num_encoded + 3 * num_masks, num_classes)
        nn.init.zeros_(self.in_range.weight)
        self.input_dropout = nn.Dropout1d(input_dropout)
        self.hours = nn.Conv1d(len(is_mask), hidden, kernel_size=1)
        self.dropout = nn.Dropout(dropout)
        self.pooled = nn.Linear(3 * hidden, num_classes)

    def forward(self, views: Tensor, lengths: Tensor | None = None) -> Tensor:
        (series,) = views.unbind(1)
        values, masks = series[:, ~self.is_mask], series[:, self.is_mask]
        encoded = ((values[:, :, None] - self.lower) / self.width).clamp(0, 1).flatten(1, 2)
        wide = [last(encoded, lengths), mean(encoded, lengths), _pooled(masks, lengths)]
        hours = self.hours(self.input_dropout(series)).relu()
        pooled = self.pooled(self.dropout(_pooled(hours, lengths)))
        logits: Tensor = self.in_range(torch.cat(wide, dim=1)) + pooled
        return logits


def _pooled(series: Tensor, lengths: Tensor | None) -> Tensor:
    """Last, mean and maximum over the hours: (N, C, hours) to (N, 3 C)."""
    pooled = last(series, lengths), mean(series, lengths), largest(series, lengths)
    return torch.cat(pooled, dim=1)
