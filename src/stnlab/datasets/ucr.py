"""Problems of the UCR and UEA archives."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from stnlab.data.spec import DatasetSpec, SeriesSpec
from stnlab.parts import SeriesDataset, add_dataset
from stnlab.rules import require, require_path, require_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stnlab.data.labels import Labels
    from stnlab.data.series.source import SeriesSource
    from stnlab.data.series_batches import SeriesParts
    from stnlab.schema import ExperimentConfig

_MAX_FOLD = 1_000_000


class ScaleBy(Enum):
    """Whose mean and deviation a value is standardised by."""

    train = "train"  # its column's, over all training series
    series = "series"  # its own series'


@add_dataset("ucr")
@dataclass
class Ucr(SeriesDataset):
    """One problem, trained and tested on the archive's own parts.

    What is chosen is chosen within the training part: ``fold`` holds one of ``num_folds``
    stratified folds of it out for validation. Beyond ``num_folds`` the folds are drawn anew, so
    that 0 to 4 are one five-fold split, and 5 to 9 the next. Without a fold nothing is held out.

    Series of unequal length keep theirs. Source: Dau et al. (2019), The UCR time series archive;
    Bagnall et al. (2018), The UEA multivariate time series classification archive.
    """

    circumstances: ClassVar[tuple[str, ...]] = ("root", "shown_variable", "download")

    batch_size: int = 16
    problem: str = "GunPoint"
    scale_by: ScaleBy = ScaleBy.train
    fold: int | None = None  # 0, 1, …: held out for validation; null: all of the part is trained on
    num_folds: int = 5
    seed: int = 0  # of the folds; not the run's seed
    download: bool = False  # true: fetch a problem that is not there

    def spec(self) -> SeriesSpec:
        return self._source().spec("steps")

    def load(self) -> "SeriesParts":
        source = self._source()
        return source.series_parts(
            self._held(source),
            name=f"UCR and UEA archives, {self.problem}",
            sha256=self.checksums().get("sha256", ""),
            by_own_values=self.scale_by is ScaleBy.series,
        )

    def checksums(self) -> dict[str, str]:
        from stnlab.data.series import ucr
        from stnlab.errors import UserError

        try:
            files = ucr.find(self.problem, self.root)
            return {} if files is None else {"sha256": ucr.sha256(files)}
        except (UserError, OSError):
            return {}

    def prepare(
        self,
        raw: "NDArray[np.float32]",
        spec: SeriesSpec,
        scale: Mapping[str, Sequence[float]],
    ) -> "NDArray[np.float32]":
        if self.scale_by is ScaleBy.series:
            import numpy as np

            from stnlab.data.series.source import own_statistics

            mean, std = own_statistics(raw)
            raw = ((raw - mean[..., None]) / std[..., None]).astype(np.float32)
        return super().prepare(raw, spec, scale)

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require_seed("dataset.seed", self.seed)
        if self.fold is not None:
            allowed = "null, or 0 and more"
            require(0 <= self.fold <= _MAX_FOLD, "dataset.fold", self.fold, allowed)
            self._require_folds(self._source())

    def _require_folds(self, source: "SeriesSource") -> None:
        counts = Counter(source.labels["train"].tolist())
        rarest = min(counts, key=lambda label: counts[label])
        require(
            2 <= self.num_folds <= counts[rarest],
            "dataset.num_folds",
            self.num_folds,
            f"2 to {counts[rarest]}" if counts[rarest] >= 2 else "none",
            f"The training part of {self.problem} has {counts[rarest]} series of class "
            f"'{source.classes[rarest]}', and each fold needs one.",
        )

    def _held(self, source: "SeriesSource") -> "dict[str, tuple[str, Labels]]":
        """The archive's parts in their own order; the fold apart."""
        import numpy as np

        train, test = (np.arange(len(source.labels[part])) for part in ("train", "test"))
        val = train[:0]
        if self.fold is not None:
            from sklearn.model_selection import StratifiedKFold

            repetition, number = divmod(self.fold, self.num_folds)
            rng = np.random.RandomState([self.seed, repetition])
            folds = StratifiedKFold(self.num_folds, shuffle=True, random_state=rng)
            parts = list(folds.split(train, source.labels["train"]))
            train, val = parts[number]
        return {"train": ("train", train), "val": ("train", val), "test": ("test", test)}

    def _source(self) -> "SeriesSource":
        from stnlab.data.series.ucr import open_problem

        if self.root is not None:
            require_path("dataset.root", self.root)
        return open_problem(self.problem, self.root, self.download).keeping_lengths()
