"""The clinical datasets: series of 48 hours and whether the patient died, read and split.

Everything lives in memory, standardised with statistics of the training part alone.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stnlab.data import checksum, mimic, physionet2012, synthetic_episodes
from stnlab.data.batches import Batch, BatchSource
from stnlab.data.places import root_of, settings_of
from stnlab.data.randomness import Stream, generator
from stnlab.data.synthetic_episodes import PlantedWarps
from stnlab.schema import MimicConfig, Physionet2012Config, SeriesConfig, Source

_BATCHES_A_CHUNK = 8


@dataclass(frozen=True)
class Part:
    """``x`` (N, C, hours) float32, ``y`` (N,) int64 with 1 for a death, ``stays`` their names.

    ``patients`` says whose each stay is.
    """

    x: Tensor
    y: Tensor
    stays: list[str]
    patients: list[str]

    def __len__(self) -> int:
        return len(self.stays)

    def to(self, device: torch.device) -> "Part":
        """The same, resident on ``device``."""
        return Part(self.x.to(device), self.y.to(device), self.stays, self.patients)


@dataclass(frozen=True)
class SeriesParts:
    """Training, validation and test part of a clinical dataset.

    ``name`` says in words what the data is. ``scale`` maps a continuous column's name to the
    (mean, standard deviation) that it was standardised with. ``planted`` are the test part's
    warps, where the data is synthetic. ``labels_sha256`` is of the labels, where ``sha256`` is not.
    """

    name: str
    train: Part
    val: Part
    test: Part
    columns: tuple[str, ...]
    scale: dict[str, tuple[float, float]]
    sha256: str
    planted: PlantedWarps | None = None
    labels_sha256: str | None = None

    @property
    def is_synthetic(self) -> bool:
        return self.planted is not None

    def to(self, device: torch.device) -> "SeriesParts":
        """The same, resident on ``device``."""
        parts = {name: getattr(self, name).to(device) for name in ("train", "val", "test")}
        return dataclasses.replace(self, **parts)


class SeriesBatches(BatchSource):
    """Batches of one part, (B, C, hours)."""

    def __init__(
        self,
        part: Part,
        *,
        batch_size: int,
        order_key: tuple[int, ...] | None = None,
        limit: float = 1.0,
    ) -> None:
        super().__init__(
            len(part),
            part.x.device,
            batch_size=batch_size,
            batches_a_chunk=_BATCHES_A_CHUNK,
            order_key=order_key,
            limit=limit,
        )
        self.part = part

    @property
    def targets(self) -> Tensor:
        return self.part.y

    def _maker(self) -> Callable[[Tensor], Batch]:
        return lambda chosen: (self.part.x[chosen], self.part.y[chosen])


def load_parts(config: SeriesConfig) -> SeriesParts:
    """Read, split and standardise a clinical dataset.

    Raises:
        UserError: for whatever is wrong with the data; see its message.
    """
    if isinstance(config, MimicConfig):
        return _load_mimic(config)
    assert isinstance(config, Physionet2012Config)
    return _load_physionet2012(config)


def _load_mimic(config: MimicConfig) -> SeriesParts:
    root = root_of(config)
    if config.source is Source.synthetic:
        synthetic_episodes.ensure_episodes(root, settings_of(config))
    found = {split: mimic.load_split(root, split, config.imputation.name) for split in mimic.SPLITS}
    for split, episodes in found.items():
        mimic.require_both_classes(episodes.y, root, split)
    statistics = mimic.statistics_of(found["train"].x)
    parts = {
        split: _part(
            mimic.standardised(episodes.x, statistics).transpose(0, 2, 1),
            episodes.y,
            episodes.stays,
            [mimic.patient_of(stay) for stay in episodes.stays],
        )
        for split, episodes in found.items()
    }
    is_synthetic = synthetic_episodes.is_synthetic(root)
    names = (mimic.COLUMNS[place] for place in mimic.CONTINUOUS)
    return SeriesParts(
        "SYNTHETIC episodes in MIMIC-III's form, no patients" if is_synthetic else "MIMIC-III",
        parts["train"],
        parts["val"],
        parts["test"],
        columns=mimic.COLUMNS,
        scale=dict(zip(names, zip(statistics.mean, statistics.std, strict=True), strict=True)),
        sha256=checksum.joint(episodes.sha256 for episodes in found.values()),
        labels_sha256=mimic.labels_digest(
            (split, each.stays, each.y.tolist()) for split, each in found.items()
        ),
        planted=synthetic_episodes.planted_warps(root, "test") if is_synthetic else None,
    )


def _part(
    x: NDArray[np.float32], y: NDArray[np.int64], stays: list[str], patients: list[str]
) -> Part:
    return Part(torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(y), stays, patients)


def _load_physionet2012(config: Physionet2012Config) -> SeriesParts:
    root = root_of(config)
    learned = physionet2012.load_set(root, "a", download=config.download)
    test = physionet2012.load_set(root, config.test_set.name, download=config.download)
    physionet2012.require_disjoint(learned, test)
    order = torch.randperm(len(learned.y), generator=generator(Stream.split, config.seed)).numpy()
    val, train = (
        learned.take(np.sort(each)) for each in (order[: config.val_size], order[config.val_size :])
    )
    statistics = physionet2012.statistics_of(train)
    parts = {
        split: _part(
            physionet2012.features(records, statistics), records.y, records.stays, records.stays
        )
        for split, records in (("train", train), ("val", val), ("test", test))
    }
    return SeriesParts(
        f"PhysioNet 2012, sets a and {config.test_set.name}",
        parts["train"],
        parts["val"],
        parts["test"],
        columns=physionet2012.COLUMNS,
        scale=statistics.scale,
        sha256=checksum.joint([learned.sha256, test.sha256]),
    )
