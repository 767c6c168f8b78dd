"""The nearest centroid: the class whose mean aligned series is closest."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stnlab.layers.lengths import inside


class NearestCentroid(nn.Module):
    """Takes each series for the class whose mean series is the nearest.

    It learns nothing itself: :meth:`fit` sets the centroids to the means of the training series as
    a transformer aligns them, and :meth:`loss` is what the transformer is trained by, the variance
    about the mean of each class or, without labels, about the mean of all. Input (N, 1, C, steps),
    output (N, classes): minus the mean squared distance to each centroid, which is no probability
    but orders the classes.

    Of series with ``lengths`` (N,) a step counts where the series has it; a centroid's step is the
    mean of those that have it, and 0 where none does.

    Source: Weber et al. (2019), Diffeomorphic temporal alignment nets, equations 3 (without
    labels) and 4 (within classes), and section 5 for the classifier; here means over steps and
    classes stand in place of sums.
    """

    centroids: Tensor

    def __init__(
        self, num_classes: int, channels: int, num_steps: int, within_classes: bool = True
    ) -> None:
        super().__init__()
        self.within_classes = within_classes
        self.register_buffer("centroids", torch.zeros(num_classes, channels, num_steps))

    def forward(self, views: Tensor, lengths: Tensor | None = None) -> Tensor:
        (series,) = views.unbind(1)
        distances = (series[:, None] - self.centroids).square().mean(dim=2)
        if lengths is None:
            return -distances.mean(dim=2)
        own = inside(lengths, distances.shape[2])
        return -(distances * own).sum(dim=2) / lengths[:, None]

    def loss(self, views: Tensor, targets: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The variance within a batch: of a class about its mean, the mean over classes, ()."""
        (series,) = views.unbind(1)
        classes = targets if self.within_classes else torch.zeros_like(targets)
        num_classes = len(self.centroids) if self.within_classes else 1
        own = _own(series, lengths)
        sums, counts = _sums(series, own, classes, num_classes)
        means = sums / counts.clamp(min=1)
        squares = ((series - means[classes]) * own).square().mean(dim=1)
        spreads = squares.sum(dim=1) / own.sum(dim=(1, 2))
        sizes = torch.bincount(classes, minlength=num_classes).to(spreads.dtype)
        of_classes = spreads.new_zeros(num_classes).index_add(0, classes, spreads)
        return (of_classes / sizes.clamp(min=1)).sum() / (sizes > 0).sum()

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Set the centroids to the means of aligned series.

        ``batches`` are views (N, 1, C, steps) and targets (N,), and lengths where they differ.
        """
        sums, counts = torch.zeros_like(self.centroids), torch.zeros_like(self.centroids[:, :1])
        for views, targets, *lengths in batches:
            (series,) = views.unbind(1)
            own = _own(series, *lengths)
            more, seen = _sums(series, own, targets, len(self.centroids))
            sums, counts = sums + more, counts + seen
        self.centroids.copy_(sums / counts.clamp(min=1))


def _own(series: Tensor, lengths: Tensor | None = None) -> Tensor:
    """1 at each series' own steps, (N, 1, steps)."""
    if lengths is None:
        return torch.ones_like(series[:, :1])
    return inside(lengths, series.shape[2]).to(series.dtype)


def _sums(series: Tensor, own: Tensor, classes: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """The sum of each class's series, (classes, C, steps), and of how many, (classes, 1, steps)."""
    is_of = F.one_hot(classes, num_classes).to(series.dtype).T
    sums = torch.einsum("kn,ncs->kcs", is_of, series * own)
    return sums, torch.einsum("kn,ncs->kcs", is_of, own)
