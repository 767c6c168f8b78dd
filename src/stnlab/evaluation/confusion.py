"""Which class is taken for which."""

from collections.abc import Sequence

import torch
from torch import Tensor

from stnlab.files import csv_text


def most_probable(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The most probable class of each (N, classes), and its probability: (N,) both, on the CPU."""
    shares, labels = logits.double().softmax(dim=1).max(dim=1)
    return labels.cpu(), shares.cpu()


def counts(labels: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """How many examples of each class, a row, are taken for each, a column: (classes, classes)."""
    places = targets.cpu() * num_classes + labels
    return torch.bincount(places, minlength=num_classes**2).view(num_classes, num_classes)


def as_csv(found: Tensor, classes: Sequence[str]) -> str:
    """Rows: the true class; columns: the predicted one."""
    rows = ([name, *row] for name, row in zip(classes, found.tolist(), strict=True))
    return csv_text(["true \\ predicted", *classes], rows)


def predictions_as_csv(
    names: Sequence[str],
    labels: Tensor,
    shares: Tensor,
    targets: Tensor,
    classes: Sequence[str],
) -> str:
    """A row for each of N examples: its name, the predicted class, its probability, the true one.

    There may be more names, of examples that were not tested.
    """
    rows = zip(names or map(str, range(len(labels))), labels, shares, targets, strict=False)
    return csv_text(
        ["name", "prediction", "probability", "y_true"],
        (
            [name, classes[int(label)], f"{share:.6f}", classes[int(target)]]
            for name, label, share, target in rows
        ),
    )
