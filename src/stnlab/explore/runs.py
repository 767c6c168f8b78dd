"""What a run gives to the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from stnlab.checkpoints import load_epoch
from stnlab.config import cell, dataset_label, to_plain
from stnlab.data.spec import DatasetSpec
from stnlab.distortions import Similarity
from stnlab.errors import UserError
from stnlab.explore import network
from stnlab.folder import RunFolder
from stnlab.trained import Trained, load


@dataclass(frozen=True)
class Shown:
    """A run: its network, and its weights by the end of which epoch they are of."""

    trained: Trained
    spec: DatasetSpec
    network: dict[str, Any]
    weights: Mapping[int, Mapping[str, Tensor]]

    @property
    def plain(self) -> dict[str, Any]:
        """All but the weights, as the page reads it."""
        config, distortion = self.trained.config, self.trained.config.distortion
        test = self.trained.metrics.get("test", {})
        accuracy = {
            part: scores["accuracy"]
            for part, scores in test.items()
            if isinstance(scores, dict) and "accuracy" in scores
        }
        trained_on = {"rotation": 0.0, "translation": 0.0, "scale": 0.0}
        if isinstance(distortion, Similarity):
            trained_on = {name: getattr(distortion, name) for name in trained_on}
        mean, std = ((0.0,), (1.0,)) if self.spec.is_series else self.trained.mean_and_std
        return {
            "cell": cell(config),
            "model": config.model.name,
            "dataset": dataset_label(to_plain(config)),
            "seed": config.seed,
            "num_epochs": config.trainer.max_epochs,
            "warp": config.warp.name if config.model.has_transformer else None,
            "accuracy": accuracy,
            "auroc": test.get("auroc"),
            "trained_on": trained_on if isinstance(distortion, Similarity) else None,
            "mean": list(mean),
            "std": list(std),
            "network": self.network,
        }


def read_run(path: Path) -> Shown:
    """A complete run and the epochs that it has kept; else its last one alone.

    Raises:
        UserError: there is no such run, it is not complete, lacks its weights, or is of something
            that the page cannot show.
    """
    trained = load(path)
    shown = show(trained)
    folder, last = RunFolder(path), trained.config.trainer.max_epochs
    epochs = {epoch: folder.epoch_checkpoint(epoch) for epoch in folder.kept_epochs()}
    kept = {epoch: load_epoch(place) for epoch, place in epochs.items() if epoch < last}
    own = trained.network.state_dict()
    for epoch, state in kept.items():
        if {name: value.shape for name, value in state.items()} != {
            name: value.shape for name, value in own.items()
        }:
            raise UserError(
                f"{epochs[epoch]} is of another network than config.yaml says; move it away."
            )
    return Shown(trained, shown.spec, shown.network, {**kept, **shown.weights})


def show(trained: Trained) -> Shown:
    """A trained network with the weights that it has.

    Raises:
        UserError: the page cannot show it.
    """
    try:
        described = network.describe(trained.network)
    except UserError as error:
        raise UserError(f"{trained.path}: {error}") from error
    last = trained.config.trainer.max_epochs
    return Shown(trained, trained.spec, described, {last: trained.network.state_dict()})
