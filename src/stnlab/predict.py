"""What a trained network says of files: ``python -m stnlab.predict RUN FILE…``.

A file is a picture (PNG, JPEG, …) or an array (.npy, or x in a .npz) of pictures or series; of
series also a table (.csv), an episode of the MIMIC-III benchmark, or a record of PhysioNet 2012, as
the run's dataset has them. Where each example has several objects on channels of their own, as in
two-channel, files are taken together, one for each.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stnlab import extensions
from stnlab.errors import UserError, command
from stnlab.files import csv_text, replacing, write_out

if TYPE_CHECKING:
    from torch import Tensor

    from stnlab.data.inputs import Invert
    from stnlab.task import Prediction
    from stnlab.trained import Trained

_INVERT: "dict[str, Invert]" = {"auto": "auto", "yes": True, "no": False}
_NUM_SERIES = 3  # of a figure
_NUM_IMAGES = 32


@command
def main(arguments: Sequence[str]) -> None:
    """The command line."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m stnlab.predict", description=first, epilog=rest
    )
    parser.add_argument("run", type=Path, help="a complete run's folder")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, help="a CSV file, a row an example")
    parser.add_argument("--figure", type=Path, help="a PNG: before and after the warp")
    parser.add_argument(
        "--moments",
        type=Path,
        help="an NPZ file, of series: where each step is read (moments), and where each is shown "
        "(inverse_moments), in steps, example by example (files)",
    )
    parser.add_argument("--which", choices=("last", "best"), default="last", help="epoch")
    parser.add_argument(
        "--invert",
        choices=_INVERT,
        default="auto",
        help="exchange light and dark; auto: where a border is light, for digits (light on dark)",
    )
    parser.add_argument("--with", metavar="FILE", help="parts of your own: docs/extending.md")
    _predict(parser.parse_args(extensions.take_from(list(arguments))))


def _predict(given: argparse.Namespace) -> None:
    import torch

    from stnlab.task import Prediction
    from stnlab.trained import load

    trained = load(given.run, given.which)
    names, inputs, found = [], [], []
    for files in _together(trained, given.files):
        pictures = files[0] if len(files) == 1 else [tuple(files)]
        ready = trained.prepare(pictures, invert=_INVERT[given.invert])
        called = " + ".join(map(str, files))
        names += [called] if len(ready) == 1 else [f"{called}[{n}]" for n in range(len(ready))]
        inputs.append(ready)
        found.append(trained.predict(ready, prepared=True))
    prediction = Prediction.join(found)
    for name, label, shares in zip(names, prediction.labels, prediction.probabilities, strict=True):
        print(f"{name}: {trained.classes[label]} ({shares[label]:.1%})")
    if given.out is not None:
        write_out(given.out, _as_csv(trained, names, prediction))
    if given.moments is not None:
        _save_moments(given.moments, trained, names, prediction)
    if given.figure is not None:
        _draw(given.figure, trained, names, torch.cat(inputs), prediction)


def _together(trained: "Trained", files: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """The files of each example: one, or one for each object that has channels of its own."""
    from stnlab.data.spec import ImageSpec

    spec, at_once = trained.spec, 1
    pictures = [each for each in files if each.suffix not in (".npy", ".npz")]
    if isinstance(spec, ImageSpec) and spec.objects_have_channels and pictures:
        at_once = spec.num_objects
    if len(files) % at_once:
        raise UserError(
            f"{len(files)} files: dataset={trained.config.dataset.name} takes {at_once} for each "
            "example, one for each object."
        )
    for start in range(0, len(files), at_once):
        yield files[start : start + at_once]


def _as_csv(trained: "Trained", names: Sequence[str], prediction: "Prediction") -> str:
    """A row an example: its name, its class, each class's probability, and theta of each view."""
    rows = [prediction.probabilities]
    header = ["file", "class", *(f"probability of {name}" for name in trained.classes)]
    if prediction.theta is not None:
        num_views = prediction.theta.shape[1]
        rows.append(prediction.theta.flatten(1))
        header += [
            name if num_views == 1 else f"{name} of view {view}"
            for view in range(num_views)
            for name in trained.parameter_names
        ]
    examples = zip(names, prediction.labels.tolist(), *rows, strict=True)
    return csv_text(
        header,
        (
            [name, trained.classes[label], *(number for each in values for number in each.tolist())]
            for name, label, *values in examples
        ),
    )


def _save_moments(
    path: Path, trained: "Trained", names: Sequence[str], prediction: "Prediction"
) -> None:
    import numpy as np

    if prediction.moments is None or prediction.inverse_moments is None:
        raise UserError(f"--moments: {trained.path} has no warp of time. Leave the option out.")
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                files=np.array(names),
                moments=prediction.moments.numpy(),
                inverse_moments=prediction.inverse_moments.numpy(),
            )
    except (OSError, ValueError) as error:  # the latter where it has no name, as .
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--moments: cannot write {path} ({reason}). Name another file.") from error


def _draw(
    path: Path,
    trained: "Trained",
    names: Sequence[str],
    inputs: "Tensor",
    prediction: "Prediction",
) -> None:
    """The first inputs, and what the network has read of them."""
    from stnlab.data.spec import ImageSpec

    draw = _draw_images if isinstance(trained.spec, ImageSpec) else _draw_series
    labels = [trained.classes[label] for label in prediction.labels]
    try:
        draw(path, trained, names, labels, inputs, prediction)
    except OSError as error:
        raise UserError(
            f"--figure: cannot write {path} ({error.strerror}). Name another file."
        ) from error


def _draw_images(
    path: Path,
    trained: "Trained",
    names: Sequence[str],  # noqa: ARG001
    labels: Sequence[str],
    inputs: "Tensor",
    prediction: "Prediction",
) -> None:
    from stnlab.data.image_batches import to_pixels
    from stnlab.report import figures

    mean, std = trained.mean_and_std
    figures.draw_warps(
        path,
        f"{trained.path}\nas read, above, and after the warp: {', '.join(labels[:_NUM_IMAGES])}",
        to_pixels(inputs[:_NUM_IMAGES], mean, std),
        to_pixels(prediction.views[:_NUM_IMAGES], mean, std),
    )


def _draw_series(
    path: Path,
    trained: "Trained",
    names: Sequence[str],
    labels: Sequence[str],
    inputs: "Tensor",
    prediction: "Prediction",
) -> None:
    import numpy as np

    from stnlab.data.spec import SeriesSpec
    from stnlab.layers.transformer import TimeTransformer
    from stnlab.report import clinical_figures

    assert isinstance(trained.spec, SeriesSpec)
    columns = trained.spec.columns
    shown = getattr(trained.config.dataset, "shown_variable", None) or columns[0]
    mean, std = trained.preprocessing["scale"].get(shown, (0.0, 1.0))
    before, after = (
        each[:_NUM_SERIES, columns.index(shown)].double().numpy() * std + mean
        for each in (inputs, prediction.views[:, 0])
    )
    theta, transformer, thetas = prediction.theta, trained.network.transformer, {}
    if theta is not None and transformer is not None:
        thetas = transformer.named(theta[:_NUM_SERIES])
    if theta is not None and isinstance(transformer, TimeTransformer):
        thetas = transformer.summary(theta[:_NUM_SERIES], columns.index(shown))
    clinical_figures.draw_warped_series(
        path,
        f"{trained.path}\n{shown} before and after the warp",
        steps=np.arange(before.shape[1], dtype=np.float64),
        step=trained.spec.unit,
        before=before,
        after=after,
        thetas={name: values.numpy() for name, values in thetas.items()},
        names=[f"{Path(n).name}: {label}" for n, label in zip(names, labels, strict=True)][
            :_NUM_SERIES
        ],
        unit=shown,
    )


if __name__ == "__main__":
    sys.exit(main())
