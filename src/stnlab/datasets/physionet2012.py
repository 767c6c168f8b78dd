"""Stays of the PhysioNet/Computing in Cardiology Challenge 2012."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from stnlab.data.physionet2012.variables import COLUMNS, NUM_HOURS, RAW_COLUMNS
from stnlab.data.places import default_root
from stnlab.data.spec import DatasetSpec, SeriesSpec, Task
from stnlab.datasets.clinical import ClinicalDataset
from stnlab.parts import add_dataset
from stnlab.rules import require, require_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stnlab.data.physionet2012.reader import Records
    from stnlab.data.series_batches import SeriesParts
    from stnlab.schema import ExperimentConfig

_NUM_STAYS_OF_SET_A = 4_000
_SHARES = (0.8, 0.1, 0.1)  # of protocol=splits


class TestSet(Enum):
    """The part of the challenge that is tested on."""

    b = "b"
    c = "c"


class Protocol(Enum):
    """Who is learned from, and who is tested on."""

    sets = "sets"  # the challenge's: set a, and set b or c
    splits = "splits"  # all three sets, dealt out anew for each split: 80, 10 and 10%


@add_dataset("physionet2012")
@dataclass
class Physionet2012(ClinicalDataset):
    """Open records: 37 variables, their masks and the descriptors, 48 hours.

    Source: Silva et al. (2012).
    """

    circumstances: ClassVar[tuple[str, ...]] = ("root", "shown_variable", "download")
    has_challenge_scores: ClassVar[bool] = True

    test_set: TestSet = TestSet.b
    val_size: int = 800  # stays of set a held out for validation
    download: bool = False  # true: fetch what is missing from physionet.org
    seed: int = 0  # of the held-out stays, or of all splits; not the run's seed
    protocol: Protocol = Protocol.sets
    split: int | None = None  # of protocol=splits: which; null: the one of the run's seed

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
        require(
            1 <= self.val_size < _NUM_STAYS_OF_SET_A,
            "dataset.val_size",
            self.val_size,
            f"1 to {_NUM_STAYS_OF_SET_A - 1}",
            f"It is held out of the {_NUM_STAYS_OF_SET_A} stays of set a.",
        )
        require_seed("dataset.seed", self.seed)
        if self.protocol is Protocol.sets:
            alone = "null without dataset.protocol=splits"
            require(self.split is None, "dataset.split", self.split, alone)
            return
        if self.split is not None:
            require_seed("dataset.split", self.split)
        for key in ("test_set", "val_size"):
            found, default = getattr(self, key), getattr(Physionet2012, key)
            shown = found.name if isinstance(found, Enum) else found
            require(
                found == default,
                f"dataset.{key}",
                shown,
                "left alone beside dataset.protocol=splits, which deals out all three sets",
            )

    preparation: ClassVar[str] = (
        "What is out of its plausible range counts as not measured. Variables are carried forward; "
        "they, age, height and weight are less their mean, by their deviation (scale), cut off at "
        "10 deviations, and 0 where never measured. mask->x is 1 where x was measured. Gender is 0 "
        "or 1, 0.5 where unknown; the type of unit is one of four channels. Of what is known at "
        "admission (static->...) the first hour's value counts."
    )

    def raw_columns(self, spec: SeriesSpec) -> tuple[str, ...]:
        return RAW_COLUMNS

    def prepare(
        self,
        raw: "NDArray[np.float32]",
        spec: SeriesSpec,
        scale: Mapping[str, Sequence[float]],
    ) -> "NDArray[np.float32]":
        from stnlab.data.physionet2012 import reader

        return reader.features_of_raw(raw, scale)

    def read(self, path: Path, spec: SeriesSpec) -> "NDArray[np.float32]":
        """A record of the challenge, ``132539.txt``; else a table."""
        if path.suffix != ".txt":
            return super().read(path, spec)
        from stnlab.data.physionet2012 import reader

        return reader.raw_of_record(path)

    def _root(self) -> Path:
        return Path(self.root) if self.root else default_root("physionet2012")

    def _letters(self) -> tuple[str, ...]:
        """The sets that are read."""
        return ("a", "b", "c") if self.protocol is Protocol.splits else ("a", self.test_set.name)

    def of_run(self, seed: int) -> "Physionet2012":
        if self.protocol is Protocol.splits and self.split is None:
            return replace(self, split=seed)
        return self

    def checksums(self) -> dict[str, str]:
        from stnlab.data import checksum
        from stnlab.data.physionet2012 import reader

        root, letters = self._root(), self._letters()

        def read() -> dict[str, str]:
            return {"sha256": checksum.joint(reader.load_set(root, x).sha256 for x in letters)}

        sets = [root / f"set-{letter}" for letter in letters]
        folders = [root, *sets, *(each / each.name for each in sets)]
        return checksum.kept(root, f"physionet2012-{'-'.join(letters)}", folders, read)

    def is_at_hand(self) -> bool:
        return not self.download

    def load(self) -> "SeriesParts":
        from itertools import combinations

        from stnlab.data.checksum import joint
        from stnlab.data.physionet2012 import reader
        from stnlab.data.series_batches import Part, SeriesParts

        root = self._root()
        sets = [reader.load_set(root, x, download=self.download) for x in self._letters()]
        for one, other in combinations(sets, 2):
            reader.require_disjoint(one, other)
        train, val, test = self._parts(sets)
        statistics = reader.statistics_of(train)
        learned_from, held_out, unseen = (
            Part.of(reader.features(records, statistics), records.y, records.stays)
            for records in (train, val, test)
        )
        names = f"sets a and {self.test_set.name}"
        if self.protocol is Protocol.splits:
            names = "sets a, b and c, dealt out at random"
        return SeriesParts(
            f"PhysioNet 2012, {names}",
            learned_from,
            held_out,
            unseen,
            columns=COLUMNS,
            scale=statistics.scale,
            sha256=joint([each.sha256 for each in sets]),
        )

    def _parts(self, sets: "list[Records]") -> "list[Records]":
        """Training, validation and test part."""
        import numpy as np
        import torch

        from stnlab.data.physionet2012 import reader
        from stnlab.data.randomness import Stream, generator

        if self.protocol is Protocol.splits:
            assert self.split is not None
            return reader.split_by_outcome(
                reader.joined(sets), _SHARES, np.random.default_rng([self.seed, self.split])
            )
        learned, test = sets
        order = torch.randperm(len(learned.y), generator=generator(Stream.split, self.seed)).numpy()
        held_out, rest = order[: self.val_size], order[self.val_size :]
        return [learned.take(np.sort(rest)), learned.take(np.sort(held_out)), test]
