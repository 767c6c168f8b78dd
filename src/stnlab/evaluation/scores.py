"""Loss and metrics of a set of predictions; which ones follows from the kind of task."""

import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import multiclass_stat_scores

from stnlab.data.spec import Task
from stnlab.evaluation import clinical

Scores = dict[str, float]


def loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of a batch."""
    return F.cross_entropy(logits, targets)


def probabilities(logits: Tensor) -> Tensor:
    """(N, 2) logits to the probability of class 1, (N,)."""
    return logits.softmax(dim=1)[:, 1]


def scores(task: Task, logits: Tensor, targets: Tensor) -> Scores:
    """Metrics of all predictions of a part.

    Args:
        logits: (N, classes).
        targets: (N,).

    Returns:
        ``n`` and ``loss``; ``accuracy`` (in [0, 1]) for multiclass; for binary ``positives``,
        ``brier`` and, where there are both classes, ``auroc`` and ``auprc``.
    """
    found = {"n": len(targets), "loss": loss(logits, targets).item()}
    if task is Task.binary:
        y, p = targets.cpu().numpy(), probabilities(logits.double()).cpu().numpy()
        if len(set(y.tolist())) == 1:
            return found | {"positives": int(y.sum()), "brier": clinical.brier(y, p)}
        return found | clinical.scores(y, p)
    counts = multiclass_stat_scores(
        logits, targets, num_classes=logits.shape[1], average="micro", validate_args=False
    )
    true_positives, *_, support = counts.tolist()
    return found | {"accuracy": true_positives / support}
