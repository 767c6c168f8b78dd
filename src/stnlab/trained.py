"""A trained network from its run's folder, without the training data and without Hydra's files."""

import json
import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stnlab import extensions
from stnlab.checkpoints import load_checkpoint
from stnlab.config.kept import from_plain
from stnlab.data.image_batches import normalise
from stnlab.data.inputs import Fit, Floats, Invert, pixels_of, series_of
from stnlab.data.series.source import is_inside, lengths_of
from stnlab.data.spec import DatasetSpec, ImageSpec, SeriesSpec, spec_from_plain
from stnlab.errors import UserError
from stnlab.files import read_yaml
from stnlab.folder import RunFolder
from stnlab.layers.network import Network, build_network
from stnlab.parts import ImageDataset, SeriesDataset
from stnlab.schema import ExperimentConfig
from stnlab.task import Classification, Prediction

__all__ = ["Prediction", "Trained", "load"]

Which = Literal["last", "best"]

_PREFIX = "network."  # of the network's weights in a checkpoint


def load(run_folder: str | Path, which: Which = "last") -> "Trained":
    """The network that a complete run has trained.

    Args:
        run_folder: as ``outputs/rot90/stn-identity-zeros/seed=0``.
        which: "last" for the last epoch's, "best" for the best validation epoch's.

    Raises:
        UserError: there is no such run, it is not finished or damaged, or it takes a module of
            one's own that was not imported.
    """
    if which not in ("last", "best"):
        raise UserError(f"which is {which!r}; allowed: 'last', 'best'.")
    folder = _complete(Path(run_folder))
    config = _config(folder)
    preprocessing = _preprocessing(folder)
    spec = spec_from_plain(preprocessing["spec"]) if preprocessing else config.dataset.spec()
    network = build_network(config, spec)
    _fill(network, folder, which)
    network.eval().requires_grad_(False)
    return Trained(folder.path, which, config, spec, folder.read_metrics(), preprocessing, network)


class Trained:
    """A trained network and what is known of it.

    ``config`` is the run's, ``spec`` its dataset's, ``metrics`` what ``metrics.json`` holds.
    ``network`` is a plain module, in evaluation mode and with its weights frozen: normalised inputs
    (N, channels, ...) to logits (N, classes). Moved to another device, it predicts there.
    """

    def __init__(
        self,
        path: Path,
        which: Which,
        config: ExperimentConfig,
        spec: DatasetSpec,
        metrics: dict[str, Any],
        preprocessing: dict[str, Any],
        network: Network,
    ) -> None:
        self.path = path
        self.which = which
        self.config = config
        self.spec = spec
        self.metrics = metrics
        self.preprocessing = preprocessing
        self.network = network

    def __repr__(self) -> str:
        return f"Trained({str(self.path)!r}, which={self.which!r})"

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of a prediction's probabilities."""
        own: tuple[str, ...] = getattr(self.spec, "classes", ())
        return own or tuple(map(str, range(self.spec.num_classes)))

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The names along theta's last axis; none without a transformer."""
        transformer = self.network.transformer
        return () if transformer is None else transformer.parameter_names

    @property
    def task(self) -> Classification:
        """The network as a LightningModule, for ``Trainer.predict`` and other loaders."""
        config = self.config
        return Classification(
            network=self.network,
            spec=self.spec,
            optimizer=config.optimizer,
            schedule=config.schedule,
            seed=config.seed,
            learning_rates=config.model.learning_rates(),
            warmup_steps=config.model.warmup_steps(),
            penalty=config.model.penalty(config, self.spec),
        )

    def predict(
        self,
        inputs: Any,
        *,
        prepared: bool = False,
        invert: Invert = "auto",
        batch_size: int = 250,
    ) -> Prediction:
        """What the network says of inputs, and what it saw of them.

        Images are paths, PIL images, arrays or tensors, one or a sequence. An array is (H, W),
        (N, H, W), (H, W, C) or (N, H, W, C), or has its channels first; of uint8, or of floats in
        [0, 1]. Colours become grey where the network reads grey. A picture of another size is
        resized: for digits with its aspect kept and its background around it, as
        ``preprocessing.json`` says (``keeps_aspect``), and with that of a canvas around it
        (``margin``). It is not cropped: what is shown should fill as much of it as in training. An
        example of several objects may be a tuple of pictures.

        MNIST's digits are light on dark. Pictures whose border is light are inverted for such a
        network (``invert="auto"``); True inverts them all, False none.

        Series are in their own units, NaN where nothing was measured: arrays or tensors
        (channels, steps) or (N, channels, steps), or files; ``preprocessing["raw_columns"]`` names
        the channels, ``preprocessing["preparation"]`` says what becomes of them. Where those of
        training were of unequal length (``spec.unequal_lengths``), a series may have fewer steps
        than ``spec.size``, or end with NaN; views have NaN past a series' end.

        Args:
            inputs: one or many, as above.
            prepared: they are what the network reads already: normalised images or standardised
                series, (N, channels, ...).
            invert: as above; images alone.
            batch_size: how many go through the network at once.

        Returns:
            Tensors on the CPU.

        Raises:
            UserError: something cannot be read, or has another shape.
        """
        if batch_size < 1:
            raise UserError(f"batch_size is {batch_size}; allowed: 1 or more.")
        ready = self._checked(inputs) if prepared else self.prepare(inputs, invert=invert)
        like = next(self.network.parameters())
        self.network.eval()
        with torch.no_grad():
            found = [self._of_batch(batch.to(like)) for batch in torch.split(ready, batch_size)]
        return Prediction.join(found)

    def _of_batch(self, batch: Tensor) -> Prediction:
        if not self._is_unequal:
            return Prediction.of(self.network, batch).cpu()
        is_over = batch.isnan()[:, :1]
        lengths = (~is_over).sum(dim=(1, 2))
        found = Prediction.of(self.network, batch.nan_to_num(), lengths)
        missing = found.views.shape[3] - batch.shape[2]
        is_over = F.pad(is_over, (0, missing), value=True)[:, None]
        return found._replace(views=found.views.masked_fill(is_over, torch.nan)).cpu()

    @property
    def _is_unequal(self) -> bool:
        return isinstance(self.spec, SeriesSpec) and self.spec.unequal_lengths

    def prepare(self, inputs: Any, *, invert: Invert = "auto") -> Tensor:
        """Inputs as :meth:`predict` takes them, as the network reads them: (N, channels, ...).

        Series of unequal length have NaN past their end, which tells ``predict`` where that is; the
        network itself takes 0 there, and the lengths (N,).

        Raises:
            UserError: something cannot be read, or has another shape.
        """
        if isinstance(self.spec, ImageSpec):
            dataset = self.config.dataset
            assert isinstance(dataset, ImageDataset)
            fit = Fit(dataset.light_on_dark, dataset.keeps_aspect, dataset.margin)
            if self.preprocessing:
                fit = Fit.of(self.preprocessing)
            mean, std = self.mean_and_std
            return normalise(pixels_of(inputs, self.spec, fit, invert), mean, std)
        return torch.from_numpy(self._prepared_series(inputs))

    @property
    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """By which pixels in [0, 1] are normalised, channel by channel or all alike."""
        if self.preprocessing:
            return tuple(self.preprocessing["mean"]), tuple(self.preprocessing["std"])
        from stnlab.data import mnist  # runs of before this was kept are on its digits

        return (mnist.MEAN,), (mnist.STD,)

    def _prepared_series(self, inputs: Any) -> Floats:
        dataset, spec = self.config.dataset, self.spec
        assert isinstance(dataset, SeriesDataset)
        assert isinstance(spec, SeriesSpec)
        if "scale" not in self.preprocessing:
            raise UserError(
                f"{self.path} lacks preprocessing.json, as runs of earlier versions do: by which "
                "mean and deviation its series were standardised was not kept. Run it again, or "
                f"give standardised series (N, {spec.channels}, {spec.size[0]}) with prepared=True."
            )
        raw = series_of(
            inputs,
            dataset.raw_columns(spec),
            spec.size[0],
            lambda path: dataset.read(path, spec),
            may_be_shorter=spec.unequal_lengths,
        )
        ready = np.ascontiguousarray(dataset.prepare(raw, spec, self.preprocessing["scale"]))
        if spec.unequal_lengths:
            ready = np.where(is_inside(lengths_of(raw), spec.size[0])[:, None], ready, np.nan)
        return ready

    def _checked(self, inputs: Any) -> Tensor:
        """Prepared inputs as a tensor."""
        try:
            ready = torch.as_tensor(inputs)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"prepared inputs are one array or tensor ({error}).") from error
        expected = (self.spec.channels, *self.spec.size)
        if self._is_unequal and ready.ndim == 3 and ready.shape[2] < self.spec.size[0]:
            ready = F.pad(ready, (0, self.spec.size[0] - ready.shape[2]), value=torch.nan)
        if ready.ndim != len(expected) + 1 or ready.shape[1:] != expected or not len(ready):
            sizes = ", ".join(map(str, expected))
            raise UserError(
                f"prepared inputs have the shape {tuple(ready.shape)}; allowed: (N, {sizes})."
            )
        values = self._own_values(ready) if self._is_unequal else ready
        if not ready.is_floating_point() or not values.isfinite().all():
            raise UserError(f"prepared inputs are of {ready.dtype}; allowed: finite floats.")
        return ready

    def _own_values(self, ready: Tensor) -> Tensor:
        """The values of prepared series up to their ends, where all channels become NaN at once."""
        is_over = ready.isnan().all(dim=1)
        lengths = ready.shape[2] - is_over.flip(1).cumprod(dim=1).sum(dim=1)
        if not (lengths > 0).all():
            raise UserError(
                "prepared inputs have a series without a value; allowed: finite floats."
            )
        return ready.movedim(1, 2)[torch.arange(ready.shape[2]) < lengths[:, None]]


# --- the folder


def _complete(path: Path) -> RunFolder:
    folder = RunFolder(path)
    if not path.is_dir():
        raise UserError(
            f"{path}: there is no such folder. A run's is outputs/<name>/<cell>/seed=<n>."
        )
    if not folder.config.is_file():
        inner = next(iter(sorted(path.rglob("config.yaml"))), None)
        hint = f" There is one in {inner.parent}." if inner else ""
        raise UserError(f"{path} is no run's folder: it has no config.yaml.{hint}")
    if not folder.metrics.is_file():
        raise UserError(
            f"{path} holds a run that is not finished: it has no metrics.json. Give its command "
            "again, and it goes on from its last epoch."
        )
    folder.require_undamaged()
    return folder


def _config(folder: RunFolder) -> ExperimentConfig:
    try:
        plain = read_yaml(folder.config)
        if not isinstance(plain, dict):
            raise UserError("it is no config.")
        _compare_extensions(folder, plain.get("extensions", {}))
        return from_plain(plain)
    except (UserError, ValueError) as error:
        raise UserError(f"{folder.config} cannot be used: {error}") from error


def _compare_extensions(folder: RunFolder, before: dict[str, str]) -> None:
    """Say so where a module of the user's has changed since the run."""
    for each in extensions.loaded():
        if before.get(each.module, each.sha256) != each.sha256:
            logging.getLogger(__name__).warning(
                "%s has changed since the run in %s was made.", each.path, folder.path
            )


def _preprocessing(folder: RunFolder) -> dict[str, Any]:
    """What the run has kept of its inputs; empty for one of before it was kept."""
    try:
        found = json.loads(folder.preprocessing.read_text(encoding="utf-8"))
        spec_from_plain(found["spec"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{folder.preprocessing} cannot be read ({error}). Run it again."
        ) from error
    assert isinstance(found, dict)
    return found


def _fill(network: Network, folder: RunFolder, which: Which) -> None:
    path = folder.last_checkpoint if which == "last" else folder.best_checkpoint
    if not path.is_file():
        reason = (
            "Folders of results/ are published without; its command with another name=… makes the "
            "run anew."
        )
        if which == "best" and folder.last_checkpoint.is_file():
            reason = "Nothing was held out to choose an epoch by; use which='last'."
        raise UserError(f"{path} is not there, and with it the weights. {reason}")
    weights = load_checkpoint(path)["state_dict"]
    own = {
        name.removeprefix(_PREFIX): value
        for name, value in weights.items()
        if name.startswith(_PREFIX)
    }
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        raise UserError(
            f"{path} is of another network than config.yaml says: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error
