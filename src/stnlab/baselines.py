"""Nearest centroids and nearest neighbours, to stand beside alignment: python -m stnlab.baselines.

For problems of the UCR and UEA archives: the nearest Euclidean mean of a class; its nearest DBA
barycentre by DTW (Petitjean et al. 2011; tslearn's, from the Euclidean mean, at most 30 rounds);
its nearest soft-DTW barycentre by soft-DTW (Cuturi and Blondel 2017; tslearn's, gamma 1); and
the nearest training series by DTW (tslearn's, without a window). None has a setting that was
chosen, none has randomness, and each is computed once. Needs the extra ``ucr``.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stnlab.errors import UserError, command
from stnlab.files import csv_text, write_out

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Series = NDArray[np.float64]  # (N, C, steps)
    Labels = NDArray[np.int64]

EUCLIDEAN = "Euclidean centroid"
_GAMMA = 1.0
_MAX_ROUNDS = 30


class Baseline(NamedTuple):
    """A method's accuracy on a problem's test part, in [0, 1]; ``made_with`` names its library."""

    problem: str
    method: str
    accuracy: float
    n: int
    made_with: str
    seconds: float


def baselines(problem: str, root: str | None = None) -> Iterator[Baseline]:
    """Each method on one problem, as it is done.

    Raises:
        UserError: there is no such problem, its series are of unequal length, or a package is
            missing.
    """
    import numpy as np

    from stnlab.datasets.ucr import Ucr

    dataset = Ucr(name=problem, problem=problem, root=root)
    spec, parts = dataset.spec(), dataset.load()
    if spec.unequal_lengths:
        raise UserError(
            f"dataset.problem={problem}: its series are of unequal length, and have no Euclidean "
            "mean. Name problems of equal length."
        )
    train, test = (part.x.double().numpy() for part in (parts.train, parts.test))
    y, y_test = parts.train.y.numpy(), parts.test.y.numpy()
    for method, (library, predict) in _METHODS.items():
        began = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*h5py")  # tslearn would like to have it
                labels = predict(train, y, test)
        except ImportError as error:
            raise UserError(
                f"{method} needs {error.name}, which is not installed: pip install 'stnlab[ucr]', "
                "or -e '.[ucr]' in a checkout."
            ) from error
        accuracy = float(np.mean(labels == y_test))
        made_with = f"{library} {version(library)}"
        seconds = round(time.perf_counter() - began, 1)
        yield Baseline(problem, method, accuracy, len(y_test), made_with, seconds)


def _classes(train: "Series", y: "Labels") -> "list[Series]":
    return [train[y == label] for label in range(int(y.max()) + 1)]


def _euclidean(train: "Series", y: "Labels", test: "Series") -> "Labels":
    import numpy as np

    centroids = np.stack([of_class.mean(axis=0) for of_class in _classes(train, y)])
    distances = ((test[:, None] - centroids) ** 2).sum(axis=(2, 3))
    labels: Labels = distances.argmin(axis=1)
    return labels


def _dba(train: "Series", y: "Labels", test: "Series") -> "Labels":
    from tslearn.barycenters import dtw_barycenter_averaging
    from tslearn.metrics import cdist_dtw

    return _nearest(train, y, test, cdist_dtw, dtw_barycenter_averaging, max_iter=_MAX_ROUNDS)


def _soft_dtw(train: "Series", y: "Labels", test: "Series") -> "Labels":
    from tslearn.barycenters import softdtw_barycenter
    from tslearn.metrics import cdist_soft_dtw

    def distances(one: "Series", other: "Series") -> "Series":
        found: Series = cdist_soft_dtw(one, other, gamma=_GAMMA)
        return found

    return _nearest(train, y, test, distances, softdtw_barycenter, gamma=_GAMMA)


def _nearest(
    train: "Series",
    y: "Labels",
    test: "Series",
    distances: "Callable[[Series, Series], Series]",
    average: "Callable[..., Series]",
    **settings: float,
) -> "Labels":
    """The class of the nearest average; tslearn has the channels last."""
    import numpy as np

    centroids = np.stack(
        [average(of_class.transpose(0, 2, 1), **settings) for of_class in _classes(train, y)]
    )
    labels: Labels = distances(test.transpose(0, 2, 1), centroids).argmin(axis=1)
    return labels


def _nearest_neighbour(train: "Series", y: "Labels", test: "Series") -> "Labels":
    from tslearn.metrics import cdist_dtw

    distances = cdist_dtw(test.transpose(0, 2, 1), train.transpose(0, 2, 1))
    labels: Labels = y[distances.argmin(axis=1)]
    return labels


_METHODS: "dict[str, tuple[str, Callable[[Series, Labels, Series], Labels]]]" = {
    EUCLIDEAN: ("numpy", _euclidean),
    "DBA centroid": ("tslearn", _dba),
    "soft-DTW centroid": ("tslearn", _soft_dtw),
    "1-NN DTW": ("tslearn", _nearest_neighbour),
}


def as_csv(found: Sequence[Baseline]) -> str:
    """A row each; accuracies in [0, 1]."""
    return csv_text(Baseline._fields, found)


@command
def main(arguments: Sequence[str]) -> None:
    """The command line."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m stnlab.baselines", description=first, epilog=rest
    )
    parser.add_argument("problems", nargs="+", metavar="PROBLEM", help="as GunPoint")
    parser.add_argument("--root", help="the folder that they lie in, where no package has them")
    parser.add_argument(
        "--out", type=Path, help="a CSV file; a report shows a study's baselines.csv"
    )
    given = parser.parse_args(arguments)
    found = []
    for problem in given.problems:
        for each in baselines(problem, given.root):
            print(f"{each.problem}: {each.method} {each.accuracy:.2%} ({each.seconds} s)")
            found.append(each)
            if given.out is not None:  # each may have taken minutes
                write_out(given.out, as_csv(found))


if __name__ == "__main__":
    sys.exit(main())
