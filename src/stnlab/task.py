"""The LightningModule: one step of training, and the predictions that metrics are made of.

Per step it does no more than it must: losses and predictions stay on the device, where the host
looks at them once a *chunk* of batches (are the losses numbers?) and once an epoch (metrics). One
turn of Lightning's loop costs up to a tenth of a step of these small networks, so it goes around
once for each chunk, and takes the optimizer steps of the chunk by Lightning's manual optimization.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor

from stnlab.data.batches import Batch, Chunks
from stnlab.data.randomness import Stream, derived_seed
from stnlab.data.spec import DatasetSpec
from stnlab.errors import UserError
from stnlab.evaluation import scores
from stnlab.layers.alignment import NearestCentroid
from stnlab.layers.network import Network
from stnlab.layers.transformer import TimeTransformer
from stnlab.parts import OptimizerPart, SchedulePart


class Predictions(NamedTuple):
    """All predictions for one part: (N, classes), (N,), and thetas (N, ...) if warped."""

    logits: Tensor
    targets: Tensor
    theta: Tensor | None

    @staticmethod
    def join(parts: "list[Predictions]") -> "Predictions":
        """Predictions of all batches as one."""
        thetas = [part.theta for part in parts if part.theta is not None]
        return Predictions(
            torch.cat([part.logits for part in parts]),
            torch.cat([part.targets for part in parts]),
            torch.cat(thetas) if thetas else None,
        )


class Prediction(NamedTuple):
    """What a network says of N inputs.

    ``labels`` (N,), the classes' places; ``probabilities`` (N, classes). ``theta``
    (N, V, parameters) is None without a transformer; ``views`` (N, V, C, ...) are what the
    classifier has read: the warped inputs, normalised or standardised as they are.

    Of a transformer over time ``moments`` say where each step of a view is read, in steps of the
    series, and ``inverse_moments`` where each step of the series is shown, in steps of the view;
    (N, 1, steps), or (N, C, steps) with a warp for each channel.
    """

    labels: Tensor
    probabilities: Tensor
    theta: Tensor | None
    views: Tensor
    moments: Tensor | None = None
    inverse_moments: Tensor | None = None

    @staticmethod
    def of(network: Network, inputs: Tensor, lengths: Tensor | None = None) -> "Prediction":
        """What a network says of inputs (N, C, ...), of unequal ``lengths`` (N,) if so."""
        views, theta = network.look(inputs, lengths)
        probabilities = network.classify(views, lengths).softmax(dim=1)
        transformer, moments, back = network.transformer, None, None
        if isinstance(transformer, TimeTransformer) and theta is not None:
            moments = transformer.moments(theta, lengths)
            back = transformer.inverse_moments(theta, lengths)
        labels = probabilities.argmax(dim=1)
        return Prediction(labels, probabilities, theta, views, moments, back)

    def cpu(self) -> "Prediction":
        """The same, on the CPU."""
        return Prediction(*(None if each is None else each.cpu() for each in self))  # type: ignore[arg-type]  # in order

    @staticmethod
    def join(parts: "list[Prediction]") -> "Prediction":
        """Those of all batches as one."""
        joined = [None if each[0] is None else torch.cat(each) for each in zip(*parts, strict=True)]
        return Prediction(*joined)  # type: ignore[arg-type]  # in order


class Classification(pl.LightningModule):
    """Trains a network for the task that its dataset's spec names.

    After an epoch, :attr:`epoch_scores` holds the metrics of "train" and "val" and
    :attr:`val_predictions` the predictions behind the latter; after ``trainer.test``,
    :attr:`test_predictions` has an entry for each test loader. Losses are cross-entropies; what a
    model's penalty adds to those of training is told beside them, as ``penalty``.
    """

    def __init__(
        self,
        network: Network,
        spec: DatasetSpec,
        optimizer: OptimizerPart,
        schedule: SchedulePart,
        seed: int,
        *,
        learning_rates: Mapping[str, float] | None = None,
        warmup_steps: Mapping[str, int] | None = None,
        penalty: Callable[[Tensor], Tensor] | None = None,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.schedule = schedule
        self.learning_rates = dict(learning_rates or {})
        self.warmup_steps = dict(warmup_steps or {})
        self.penalty = penalty
        self.gradient_clip_val = gradient_clip_val
        self.gradient_clip_algorithm = gradient_clip_algorithm
        self.network = network
        self.spec = spec
        self.optimizer_config = optimizer
        self.seed = seed
        self.epoch_scores: dict[str, scores.Scores] = {}
        self.val_predictions: Predictions | None = None
        self.test_predictions: list[Predictions] = []
        self._losses: list[Tensor] = []
        self._penalties: list[Tensor] = []
        self._collected: dict[str, list[Predictions]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        """Let Lightning note its current hook past nn.Module's checks, as it does around each hook.

        Manual optimization still runs several hooks for every step.
        """
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Inputs (N, C, ...) to logits (N, classes)."""
        logits: Tensor = self.network(inputs, lengths)
        return logits

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """A run's batches are made on its device: only another loader's are moved."""
        first = batch
        while isinstance(first, list | tuple):
            first = first[0]
        if first.device == device:
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer_config.build(self._parameter_groups())

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Those parameters apart that have a learning rate or a warm-up of their own."""
        named = list(self.network.named_parameters())
        rest = [each for name, each in named if name.split(".")[0] not in self._apart]
        groups: list[dict[str, Any]] = [{"params": rest}]
        for first in self._apart:
            group: dict[str, Any] = {
                "params": [each for name, each in named if name.split(".")[0] == first]
            }
            if first in self.learning_rates:
                group |= {"lr": self.learning_rates[first]}
            groups.append(group)
        return groups

    @property
    def _apart(self) -> list[str]:
        """The first words of the names of parameters that have settings of their own."""
        return list(dict.fromkeys([*self.learning_rates, *self.warmup_steps]))

    def _set_rates(self, optimizer: torch.optim.Optimizer, done: int) -> None:
        """The schedule's rates of the step that comes after so many in this epoch.

        They are computed from its number alone.
        """
        num_steps = self._steps_an_epoch * int(self.trainer.max_epochs or 0)
        step = self.current_epoch * self._steps_an_epoch + done
        for name, group in self._groups(optimizer).items():
            lr = group.setdefault("initial_lr", group["lr"])
            group["lr"] = self.schedule.rate(lr, step, num_steps)
            if step < self.warmup_steps.get(name, 0):
                group["lr"] *= step / self.warmup_steps[name]

    def _groups(self, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
        """The optimizer's groups of parameters: the network's, and by first word the others."""
        return dict(zip(("network", *self._apart), optimizer.param_groups, strict=True))

    def rates(self) -> dict[str, float]:
        """The rates of the last step: the network's, and by first word those of their own."""
        groups = self._groups(self.trainer.optimizers[0])
        return {name: group["lr"] for name, group in groups.items()}

    def on_train_epoch_start(self) -> None:
        """Key the epoch's randomness by (seed, epoch), so that a resumed run draws the same."""
        torch.manual_seed(derived_seed(Stream.dropout, self.seed, self.current_epoch))
        loader: Any = self.trainer.train_dataloader
        if isinstance(loader, Chunks):
            loader.batches.epoch = self.current_epoch
            loader = loader.batches
        self._steps_an_epoch = len(loader)
        self.epoch_scores = {}
        self._losses = []
        self._penalties = []
        self._collected = {}

    def training_step(self, chunk: list[Batch] | Batch, batch_idx: int) -> dict[str, Tensor]:
        """An optimizer step for each batch of the chunk; returns the last one's loss and thetas.

        A loader of another make gives one batch at a time. Whether the losses are numbers is asked
        once they are all computed, so that no step waits for the one before. Until then nothing but
        the weights has seen them.
        """
        if isinstance(chunk[0], Tensor):
            chunk = [tuple(chunk)]
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        losses: list[Tensor] = []
        thetas: list[Tensor | None] = []
        for inputs, targets, *lengths in chunk:
            views, theta = self.network.look(inputs, *lengths)
            logits = self.network.classify(views, *lengths)
            loss = self._loss(logits, targets, views, *lengths)
            self._set_rates(optimizer.optimizer, len(self._losses) + len(losses))
            optimizer.zero_grad()
            self.manual_backward(self._with_penalties(loss, theta))
            if self.gradient_clip_val is not None:
                self.clip_gradients(
                    optimizer.optimizer, self.gradient_clip_val, self.gradient_clip_algorithm
                )
            optimizer.step()
            losses.append(loss.detach())
            thetas.append(None if theta is None else theta.detach())
            self._collect("train", Predictions(logits.detach(), targets, None))
        self._check_finite(losses, thetas)
        self._losses += losses
        if batch_idx + 1 == self.trainer.num_training_batches:
            self._fit_centroids()
        last = {"loss": losses[-1]}
        return last if thetas[-1] is None else last | {"theta": thetas[-1]}

    def _loss(self, logits: Tensor, targets: Tensor, views: Tensor, *lengths: Tensor) -> Tensor:
        """The cross-entropy, unless the classifier is one that learns nothing."""
        classifier = self.network.classifier
        if isinstance(classifier, NearestCentroid):
            return classifier.loss(views, targets, *lengths)
        return scores.loss(logits, targets)

    @torch.no_grad()
    def _fit_centroids(self) -> None:
        """At the end of an epoch: the class means of the training series as they are warped now."""
        network, classifier = self.network, self.network.classifier
        if not isinstance(classifier, NearestCentroid):
            return
        loader: Any = self.trainer.train_dataloader
        batches = loader.batches if isinstance(loader, Chunks) else loader
        network.eval()
        classifier.fit(
            (network.look(inputs, *lengths)[0], targets, *lengths)
            for inputs, targets, *lengths in batches
        )
        network.train()

    def _with_penalties(self, loss: Tensor, theta: Tensor | None) -> Tensor:
        """What a step goes down: the loss that is told, and what model and warp add to it."""
        transformer = self.network.transformer
        if theta is None or transformer is None:
            return loss
        of_model = None if self.penalty is None else self.penalty(theta)
        found = [each for each in (of_model, transformer.penalty(theta)) if each is not None]
        if not found:
            return loss
        penalty = torch.stack(found).sum()
        self._penalties.append(penalty.detach())
        return loss + penalty

    def _check_finite(self, losses: list[Tensor], thetas: list[Tensor | None]) -> None:
        """Stop at the first step of a chunk whose loss is no number."""
        values = torch.stack(losses)
        if values.isfinite().all():
            return
        for step, (loss, theta) in enumerate(zip(values.tolist(), thetas, strict=True), 1):
            if not math.isfinite(loss):
                where = f"in epoch {self.current_epoch + 1}, step {len(self._losses) + step}"
                raise self._diverged(loss, where, theta)

    def on_train_epoch_end(self) -> None:
        loss = torch.stack(self._losses).mean().item()
        self._score("train", self._taken("train"), loss=loss)
        if self._penalties:
            self.epoch_scores["train"]["penalty"] = torch.stack(self._penalties).mean().item()

    def _diverged(self, loss: float, where: str, theta: Tensor | None) -> UserError:
        """What to say of a loss that is no number: before it touches a weight, or a result."""
        transformer, thetas = self.network.transformer, ""
        if transformer is not None and theta is not None:
            found = transformer.describe(theta.float())
            named = {name.removeprefix("theta/"): values for name, values in found.items()}
            shown = [f"{name} {values.mean():.3g}" for name, values in named.items()]
            thetas = f" The warp's means over these inputs: {', '.join(shown)}."
        return UserError(
            f"the loss became {loss} {where}.{thetas} Lower optimizer.lr (now "
            f"{self.optimizer_config.lr}) or set trainer.gradient_clip_val."
        )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._collect("val", self._predict(batch))

    def on_validation_epoch_end(self) -> None:
        self.val_predictions = self._taken_finite("val", "validation")
        self._score("val", self.val_predictions)

    def on_test_epoch_start(self) -> None:
        self._collected = {}

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._collect(f"test {dataloader_idx:03d}", self._predict(batch))

    def on_test_epoch_end(self) -> None:
        parts = sorted(self._collected)
        self.test_predictions = [self._taken_finite(part, "test") for part in parts]

    def predict_step(
        self, batch: Batch | Tensor, batch_idx: int, dataloader_idx: int = 0
    ) -> Prediction:
        """Of inputs, with their targets or without."""
        if isinstance(batch, Tensor):
            return Prediction.of(self.network, batch)
        inputs, _, *lengths = batch
        return Prediction.of(self.network, inputs, *lengths)

    def _predict(self, batch: Batch) -> Predictions:
        inputs, targets, *lengths = batch
        logits, theta = self.network.predict(inputs, *lengths)
        return Predictions(logits, targets, theta)

    def _collect(self, part: str, predictions: Predictions) -> None:
        self._collected.setdefault(part, []).append(predictions)

    def _taken(self, part: str) -> Predictions:
        return Predictions.join(self._collected.pop(part))

    def _taken_finite(self, part: str, name: str) -> Predictions:
        """A last step that is too large is met only here: no loss was computed after it."""
        predictions = self._taken(part)
        loss = scores.loss(predictions.logits, predictions.targets).item()
        if not math.isfinite(loss):
            epoch = self.current_epoch + (not self.trainer.testing)
            where = f"on the {name} part after epoch {epoch}, step {self.global_step}"
            raise self._diverged(loss, where, predictions.theta)
        return predictions

    def _score(self, part: str, predictions: Predictions, loss: float | None = None) -> None:
        """``loss`` replaces the one recomputed from the predictions, where it was recorded."""
        found = scores.scores(self.spec.task, predictions.logits, predictions.targets)
        if loss is not None:
            found["loss"] = loss
        self.epoch_scores[part] = found
