"""What a kind of data adds to a run: its batches, its test, its figures."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from stnlab.config import cell, dataset_label, to_plain
from stnlab.data.batches import BatchSource
from stnlab.data.spec import DatasetSpec
from stnlab.evaluation import confusion
from stnlab.evaluation.scores import Scores
from stnlab.files import write_atomically
from stnlab.folder import RunFolder
from stnlab.layers.network import Network
from stnlab.layers.transformer import Transformer
from stnlab.report import figures
from stnlab.schema import ExperimentConfig
from stnlab.task import Predictions

Predict = Callable[[Sequence[BatchSource]], list[Predictions]]


class Experiment(ABC):
    """The data of one run, read and ready."""

    # Test batches are larger than training's: nothing is learned from them, only their size costs.
    TEST_BATCH_SIZE = 250

    spec: DatasetSpec

    def __init__(self, config: ExperimentConfig, folder: RunFolder) -> None:
        self.config = config
        self.folder = folder
        self.draws = config.trainer.enable_figures
        # Of the figures that write() makes, those for TensorBoard, by the names they have there.
        self.shown: dict[str, Path] = {}

    @property
    @abstractmethod
    def has_validation(self) -> bool:
        """Whether anything is held out to choose an epoch by."""

    @property
    @abstractmethod
    def data(self) -> dict[str, Any]:
        """What ``metrics.json`` says of the data: name, sha256, and more."""

    @property
    @abstractmethod
    def preprocessing(self) -> dict[str, Any]:
        """What inputs of one's own must go through before the network reads them, plain."""

    @abstractmethod
    def place_on(self, device: torch.device) -> None:
        """Move the data to the run's device."""

    @abstractmethod
    def train_batches(self) -> BatchSource:
        """The training batches; their randomness is keyed by the run's seed."""

    @abstractmethod
    def val_batches(self) -> BatchSource:
        """The validation batches."""

    @abstractmethod
    def add_panel(self, network: Network, writer: SummaryWriter, step: int) -> None:
        """Show TensorBoard examples before and after the warp, ``network`` in evaluation mode."""

    def add_warps(  # noqa: B027
        self, transformer: Transformer, theta: torch.Tensor, writer: SummaryWriter, step: int
    ) -> None:
        """Show TensorBoard what thetas (N, V, parameters) do to the validation part."""

    @abstractmethod
    def test_batches(self) -> list[BatchSource]:
        """What the network is scored on."""

    @abstractmethod
    def test_scores(self, predictions: list[Predictions]) -> dict[str, Any]:
        """``test`` of ``metrics.json``, from the predictions for :meth:`test_batches`."""

    @abstractmethod
    def collapse(self, network: Network, found: Scores, predictions: Predictions) -> dict[str, Any]:
        """``collapsed``, its reason, and the transformer's ``views``: of some part's predictions.

        ``found`` are their scores.
        """

    @abstractmethod
    def diagnosis(
        self, network: Network, test: dict[str, Any], predictions: list[Predictions]
    ) -> dict[str, Any]:
        """:meth:`collapse`, and what else ``metrics.json`` says of the last epoch."""

    @abstractmethod
    def write(
        self,
        network: Network,
        last: list[Predictions],
        best: list[Predictions],
        predict: Predict,
    ) -> dict[str, Any]:
        """Figures and tables of the run: of the last epoch's network, and the best's.

        Returns what ``metrics.json`` says besides.
        """

    def write_classes(self, found: Predictions, names: Sequence[str]) -> None:
        """Which class each test example was taken for; as tables where classes have names."""
        labels, shares = confusion.most_probable(found.logits)
        counts = confusion.counts(labels, found.targets, self.spec.num_classes)
        classes = [self.spec.class_name(number) for number in range(self.spec.num_classes)]
        if self.spec.classes:
            write_atomically(
                self.folder.predictions,
                confusion.predictions_as_csv(names, labels, shares, found.targets, classes),
            )
            write_atomically(self.folder.confusion, confusion.as_csv(counts, classes))
        if self.draws:
            figures.draw_confusion(
                self.folder.figures / "confusion.png",
                f"{self.title()}\ntest {self.spec.examples} by their class and the one predicted",
                counts.numpy(),
                classes,
            )

    def limited_val_batches(self) -> BatchSource:
        """As many of :meth:`val_batches` as ``trainer.limit_val_batches`` says, at least one."""
        batches = self.val_batches()
        batches.limit = self.config.trainer.limit_val_batches
        return batches

    def limited_test_batches(
        self, batches: Sequence[BatchSource] | None = None
    ) -> list[BatchSource]:
        """The same of some that are tested on, :meth:`test_batches` or others."""
        limited = list(self.test_batches() if batches is None else batches)
        for each in limited:
            each.limit = self.config.trainer.limit_test_batches
        return limited

    def title(self) -> str:
        """What a figure is of."""
        dataset = dataset_label(to_plain(self.config))
        return f"{dataset}, {cell(self.config)}, seed {self.config.seed}"
