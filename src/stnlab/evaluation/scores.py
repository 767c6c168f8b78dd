"""Loss and metrics of a set of predictions; which ones follows from the kind of task."""

import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import multiclass_stat_scores

from stnlab.data.spec import Task

Scores = dict[str, float]


def loss(task: Task, logits: Tensor, targets: Tensor) -> Tensor:
    """Mean loss of a batch: cross-entropy for multiclass."""
    assert task is Task.multiclass
    return F.cross_entropy(logits, targets)


def scores(task: Task, logits: Tensor, targets: Tensor) -> Scores:
    """Metrics of all predictions of a part.

    Args:
        logits: (N, classes).
        targets: (N,).

    Returns:
        ``n``, ``loss`` and ``accuracy`` (in [0, 1]) for multiclass.
    """
    assert task is Task.multiclass
    counts = multiclass_stat_scores(
        logits, targets, num_classes=logits.shape[1], average="micro", validate_args=False
    )
    true_positives, *_, support = counts.tolist()
    return {
        "n": len(targets),
        "loss": loss(task, logits, targets).item(),
        "accuracy": true_positives / support,
    }
