"""The MIMIC-III benchmark's episodes, or synthetic ones in their form."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from stnlab.data.mimic.variables import COLUMNS, NUM_HOURS, VARIABLES
from stnlab.data.places import default_root
from stnlab.data.spec import DatasetSpec, SeriesSpec, Task
from stnlab.datasets.clinical import ClinicalDataset
from stnlab.errors import UserError
from stnlab.parts import add_dataset
from stnlab.rules import require, require_path, require_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stnlab.data.mimic.synthetic import Settings
    from stnlab.data.series_batches import SeriesParts
    from stnlab.mimic3.split import Split
    from stnlab.schema import ExperimentConfig

_MAX_SYNTHETIC = 200_000  # episodes of a part; each has 15 kB


class Source(Enum):
    """Where the episodes come from."""

    files = "files"  # the benchmark's folder, which the user has made
    synthetic = "synthetic"  # generated here, with a planted warp; no patients


class Imputation(Enum):
    """What stands for a value that was not measured; the benchmark's rules and names."""

    previous = "previous"
    next = "next"
    zero = "zero"
    normal_value = "normal_value"


@add_dataset("mimic")
@dataclass
class Mimic(ClinicalDataset):
    """In-hospital mortality by 76 columns and 48 hours. Source: SEED section 5.2."""

    circumstances: ClassVar[tuple[str, ...]] = (
        *("root", "shown_variable"),
        *("raw", "split", "download"),  # the data's checksum tells what came of them
    )

    raw: str | None = None  # MIMIC-III's tables, instead of a root: episodes are made once
    split: str | None = None  # of raw: a folder with the benchmark's testset.csv and valset.csv
    download: bool = False  # of raw: fetch these lists; without either, patients are drawn by lot
    source: Source = Source.files
    imputation: Imputation = Imputation.previous
    num_train: int = 2000  # this and what follows: source=synthetic alone
    num_val: int = 500
    num_test: int = 1000
    mortality: float = 0.3
    seed: int = 0  # of the generator; not the run's seed

    def spec(self) -> SeriesSpec:
        return SeriesSpec(
            *(Task.binary, len(COLUMNS), (NUM_HOURS,)),
            num_classes=2,
            examples="stays",
            columns=COLUMNS,
            classes=("survived", "died"),
        )

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        for key in ("num_train", "num_val", "num_test"):
            found = getattr(self, key)
            require(
                2 <= found <= _MAX_SYNTHETIC,
                f"dataset.{key}",
                found,
                f"2 or more, a death and a survivor; at most {_MAX_SYNTHETIC}",
            )
        self._check_raw()
        mortality = self.mortality
        require(0 < mortality < 1, "dataset.mortality", mortality, "above 0 and below 1")
        require_seed("dataset.seed", self.seed)

    preparation: ClassVar[str] = (
        "Of a variable with categories, the value is the category's place in "
        "stnlab.data.mimic.variables, from 0; its columns are one for each category. What was not "
        "measured is filled by dataset.imputation, the benchmark's rule; mask->x is 1 where x was "
        "measured. The continuous columns are less their mean, by their deviation (scale)."
    )

    def raw_columns(self, spec: SeriesSpec) -> tuple[str, ...]:
        return tuple(variable.name for variable in VARIABLES)

    def prepare(
        self,
        raw: "NDArray[np.float32]",
        spec: SeriesSpec,
        scale: Mapping[str, Sequence[float]],
    ) -> "NDArray[np.float32]":
        from stnlab.data.mimic import reader

        return reader.features_of_raw(raw, self.imputation.name, scale)

    def read(self, path: Path, spec: SeriesSpec) -> "NDArray[np.float32]":
        """An episode's file, ``123_episode1_timeseries.csv``."""
        from stnlab.data.mimic.episodes import read_hours

        hours = read_hours(path.parent, [path.name], lambda *_: None)
        return hours.transpose(0, 2, 1)

    def _check_raw(self) -> None:
        if self.raw is None:
            for key in ("split", "download"):
                found = getattr(self, key)
                require(not found, f"dataset.{key}", found, "null or false without dataset.raw")
            return
        require_path("dataset.raw", self.raw)
        require(self.root is None, "dataset.root", self.root, "null beside dataset.raw")
        files = self.source is Source.files
        require(files, "dataset.source", self.source.name, "files beside dataset.raw")
        if self.split is not None:
            require_path("dataset.split", self.split)
            require(not self.download, "dataset.download", True, "false beside dataset.split")

    def _split_of_raw(self) -> "Split | None":
        from stnlab.mimic3.split import fetched_split, read_split

        if self.download:
            return fetched_split()
        return None if self.split is None else read_split(Path(self.split))

    def _settings(self) -> "Settings":
        from stnlab.data.mimic.synthetic import Settings

        return Settings(self.num_train, self.num_val, self.num_test, self.mortality, self.seed)

    def _root(self) -> Path:
        if self.root:
            return Path(self.root)
        if self.raw:
            from stnlab.mimic3.build import kept_at

            with _by_keys():
                return kept_at(Path(self.raw), self._split_of_raw())
        if self.source is Source.files:
            return default_root("in-hospital-mortality")
        numbers = "-".join(map(str, vars(self._settings()).values()))
        return default_root(f"synthetic-episodes-{numbers}")

    def checksums(self) -> dict[str, str]:
        from stnlab.data import checksum
        from stnlab.data.mimic import reader

        try:
            root = self._root()
        except UserError:  # there are no tables any more, say
            return {}
        folders = [root, root / "train", root / "test"]
        return checksum.kept(root, "mimic", folders, lambda: reader.checksums(root))

    def is_at_hand(self) -> bool:
        return self.raw is None and self._root().is_dir()

    def load(self) -> "SeriesParts":
        from stnlab.data.checksum import joint
        from stnlab.data.mimic import reader, synthetic
        from stnlab.data.series_batches import Part, Planted, SeriesParts
        from stnlab.mimic3.build import notes_of

        if self.raw:
            from stnlab.mimic3.build import made_of

            with _by_keys():
                made_of(Path(self.raw), self._split_of_raw(), _tell)
        root = self._root()
        if self.source is Source.synthetic:
            synthetic.ensure_episodes(root, self._settings())
        found = {
            split: reader.load_split(root, split, self.imputation.name) for split in reader.SPLITS
        }
        for split, episodes in found.items():
            reader.require_both_classes(episodes.y, root, split)
        statistics = reader.statistics_of(found["train"].x)
        parts = {
            split: Part.of(
                reader.standardised(episodes.x, statistics).transpose(0, 2, 1),
                episodes.y,
                episodes.stays,
                [reader.patient_of(stay) for stay in episodes.stays],
            )
            for split, episodes in found.items()
        }
        planted = None
        if synthetic.is_synthetic(root):
            warps = synthetic.planted_warps(root, "test")
            planted = Planted(
                {"r_tempo": ("theta22", warps.tempo), "r_phase": ("theta23", warps.phase)}
            )
        name = " ".join(["MIMIC-III.", *notes_of(root)]).removesuffix(".")
        names = (COLUMNS[place] for place in reader.CONTINUOUS)
        return SeriesParts(
            "SYNTHETIC episodes in MIMIC-III's form, no patients" if planted else name,
            **parts,
            columns=COLUMNS,
            scale=dict(zip(names, zip(statistics.mean, statistics.std, strict=True), strict=True)),
            sha256=joint(episodes.sha256 for episodes in found.values()),
            labels_sha256=reader.labels_digest(
                (split, each.stays, each.y.tolist()) for split, each in found.items()
            ),
            planted=planted,
        )


# What the command line calls what has a key here.
_KEYS = {
    "RAW:": "dataset.raw:",
    "OUT:": "dataset.raw: the cache",
    "--split": "dataset.split",
    "--download": "dataset.download=true",
}


@contextmanager
def _by_keys() -> Iterator[None]:
    """Errors of ``stnlab.mimic3`` in the words of the config."""
    try:
        yield
    except UserError as error:
        message = str(error)
        for option, key in _KEYS.items():
            message = message.replace(option, key)
        raise UserError(message) from error


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
