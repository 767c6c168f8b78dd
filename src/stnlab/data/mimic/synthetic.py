"""Synthetic episodes in the MIMIC-III benchmark's form, with a planted warp of time.

No patient is in them, and nothing made of them is a result about patients: the folder says so in
``SYNTHETIC.txt``, and its patients' numbers begin at 9,000,001, above all of MIMIC-III's.

Each patient goes through one course of illness, told in canonical time s in [-1, 1]: the heart rate
is raised from s = -1 to 1, temperature climbs with s, and the blood pressure dips once. Who lives
has the dip near the middle of the course (at s = ±0.3, spread 0.05), who dies far from it
(±0.65); the side, the depth, the noise and the times of measurement do not depend on the label. The
course is placed in the 48 hours at a tempo and a phase drawn for each patient whatever the label:
an hour t, normalised to u = t / 24 - 1 in [-1, 1], is

    u = tempo * s + phase.

So neither the dip's hour nor its distance in hours from the middle of the course tells who dies;
both warps must be undone, and then one place in time tells it all. A network that first brings the
course to a common time has the easier task.

Convention: ``tempo`` and ``phase`` are the (θ22, θ23) that undo the warp, as a transformer samples
its input at θ22 * s + θ23 for each output time s, both normalised. A tempo below 1 is a zoom into a
course shorter than the record; phase is in halves of the record (1 is 24 hours), positive is late.
"""

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stnlab.data.mimic.variables import NUM_HOURS, VARIABLES
from stnlab.errors import UserError
from stnlab.files import replacing

LABEL = "SYNTHETIC.txt"
PLANTED = "planted.csv"
_FIRST_PATIENT = 9_000_001
_SPLITS = ("train", "val", "test")
_MIN_TEMPO, _MAX_TEMPO = 0.35, 0.9
_NEAR, _FAR = 0.3, 0.65  # canonical time of the mean dip, before or after the middle
_DIP_SPREAD, _DIP_WIDTH = 0.05, 0.1  # of its time between patients; of the dip itself

# Units as in MIMIC-III: level, sd between patients, noise, rise in the course, depth of the dip,
# and the chance that an hour's row holds the variable.
_COURSES = {
    "Heart Rate": (84.0, 8.0, 4.0, 24.0, 0.0, 0.95),
    "Systolic blood pressure": (120.0, 10.0, 6.0, 0.0, 30.0, 0.9),
    "Diastolic blood pressure": (62.0, 7.0, 5.0, 0.0, 16.0, 0.9),
    "Mean blood pressure": (80.0, 8.0, 5.0, 0.0, 21.0, 0.9),
    "Respiratory rate": (19.0, 2.0, 2.5, 3.0, 0.0, 0.9),
    "Oxygen saturation": (97.0, 1.0, 1.2, 0.0, 0.0, 0.9),
    "Temperature": (36.7, 0.3, 0.2, 0.0, 0.0, 0.3),  # and its climb
    "Glucose": (130.0, 20.0, 15.0, 0.0, 0.0, 0.2),
    "Fraction inspired oxygen": (0.35, 0.08, 0.03, 0.0, 0.0, 0.1),
    "pH": (7.39, 0.04, 0.02, 0.0, 0.0, 0.1),
}
_CLIMB = 1.2  # degrees Celsius, from the course's beginning to its end
_CATEGORICAL_CHANCE = 0.2


@dataclass(frozen=True)
class Settings:
    """How many stays, how many deaths among them, and the seed of it all."""

    num_train: int = 2000
    num_val: int = 500
    num_test: int = 1000
    mortality: float = 0.3
    seed: int = 0


@dataclass(frozen=True)
class PlantedWarps:
    """The warp of each stay of one part: (N,) each, in the order of its list."""

    stays: list[str]
    tempo: NDArray[np.float64]
    phase: NDArray[np.float64]


def ensure_episodes(root: str | Path, settings: Settings) -> None:
    """Write the episodes of ``settings`` to ``root``, unless they are there; the same seed gives
    the same bytes. ``planted.csv`` beside the lists holds each stay's tempo and phase.

    Raises:
        UserError: when ``root`` holds anything else, or a setting makes no sense.
    """
    root = Path(root)
    _check(settings)
    try:
        if not _holds_something(root):
            with replacing(root) as temporary:
                if not _holds_something(root):  # another run was not quicker
                    temporary.mkdir()
                    _write(temporary, settings)
    except OSError as error:
        raise UserError(
            f"dataset.root: {root} cannot be written: {error.strerror}. Name a folder where "
            "you may write."
        ) from error
    _require_same(root, settings)


def _holds_something(root: Path) -> bool:
    return root.is_file() or (root.is_dir() and any(root.iterdir()))


def is_synthetic(root: str | Path) -> bool:
    """Whether the folder says that it is synthetic."""
    return (Path(root) / LABEL).is_file()


def planted_warps(root: str | Path, split: str) -> PlantedWarps:
    """What was planted in one part of the folder ``root``.

    Raises:
        UserError: when the folder holds no ``planted.csv``, as real data does not.
    """
    path = Path(root) / PLANTED
    if not path.is_file():
        raise UserError(f"{path} is missing: only synthetic episodes have a planted warp.")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return PlantedWarps(
        [row["stay"] for row in rows],
        np.array([float(row["tempo"]) for row in rows]),
        np.array([float(row["phase"]) for row in rows]),
    )


def _check(settings: Settings) -> None:
    for name in ("num_train", "num_val", "num_test"):
        if getattr(settings, name) < 2:
            raise UserError(
                f"dataset.{name}={getattr(settings, name)} is too few: each part needs a death and "
                "a survivor; set 2 or more."
            )
    if settings.seed < 0:
        raise UserError(f"dataset.seed={settings.seed} is negative; set 0 or more.")
    if not 0 < settings.mortality < 1:
        raise UserError(
            f"dataset.mortality={settings.mortality} is not between 0 and 1, both excluded."
        )


def _described(settings: Settings) -> str:
    return (
        "SYNTHETIC episodes, generated by stnlab. No patient is in here; this is not MIMIC-III.\n"
        f"{json.dumps(asdict(settings), sort_keys=True)}\n"
    )


def _require_same(root: Path, settings: Settings) -> None:
    label = root / LABEL
    if not label.is_file():
        raise UserError(
            f"dataset.root: {root} is there and does not hold synthetic episodes; nothing was "
            "written. Name a new folder for dataset.source=synthetic."
        )
    if label.read_text(encoding="utf-8") != _described(settings):
        raise UserError(
            f"dataset.root: {root} holds synthetic episodes of other settings "
            f"({label.read_text(encoding='utf-8').splitlines()[-1]}, asked for "
            f"{json.dumps(asdict(settings), sort_keys=True)}). Name a new folder."
        )


def _write(root: Path, settings: Settings) -> None:
    labels: dict[str, list[str]] = {}
    planted = ["stay,split,tempo,phase"]
    patient = _FIRST_PATIENT
    for number, split in enumerate(_SPLITS):
        rng = np.random.default_rng([settings.seed, number])
        num_stays: int = getattr(settings, f"num_{split}")
        y = np.zeros(num_stays, np.int64)
        y[: min(max(round(settings.mortality * num_stays), 1), num_stays - 1)] = 1
        rng.shuffle(y)
        folder = root / ("test" if split == "test" else "train")
        folder.mkdir(exist_ok=True)
        labels[split] = []
        for died in y:
            stay = f"{patient}_episode1_timeseries.csv"
            tempo = rng.uniform(_MIN_TEMPO, _MAX_TEMPO)
            phase = rng.uniform(tempo - 1, 1 - tempo)  # the whole course lies in the record
            (folder / stay).write_text(_episode(rng, bool(died), tempo, phase), encoding="utf-8")
            labels[split].append(f"{stay},{died}")
            planted.append(f"{stay},{split},{tempo:.6f},{phase:.6f}")
            patient += 1
    lists = {f"{split}_listfile.csv": labels[split] for split in _SPLITS}
    lists["train/listfile.csv"] = labels["train"] + labels["val"]
    lists["test/listfile.csv"] = labels["test"]
    for name, lines in lists.items():
        (root / name).write_text("\n".join(["stay,y_true", *lines, ""]), encoding="utf-8")
    (root / PLANTED).write_text("\n".join([*planted, ""]), encoding="utf-8")
    (root / LABEL).write_text(_described(settings), encoding="utf-8")


def _episode(rng: np.random.Generator, died: bool, tempo: float, phase: float) -> str:
    """One file's text: a row an hour at a time within it, and a first one at 0 with what is told
    on arrival."""
    hours = np.arange(NUM_HOURS) + rng.uniform(0.05, 0.95, NUM_HOURS)
    s = (hours / (NUM_HOURS / 2) - 1 - phase) / tempo
    dip_at = rng.normal(_FAR if died else _NEAR, _DIP_SPREAD) * rng.choice([-1, 1])
    raised = 1 / (1 + np.exp((np.abs(s) - 1) / 0.05))
    dip = rng.uniform(0.6, 1.4) * np.exp(-0.5 * ((s - dip_at) / _DIP_WIDTH) ** 2)
    fields: dict[str, list[str]] = {}
    for name, (level, spread, noise, rise, depth, chance) in _COURSES.items():
        values = level + rng.normal(0, spread) + rng.normal(0, noise, NUM_HOURS)
        values += rise * raised - depth * dip
        if name == "Temperature":
            values += _CLIMB * (np.clip(s, -1, 1) + 1) / 2
        fields[name] = _some(rng, [f"{value:.3f}" for value in values], chance)
    for variable in VARIABLES:
        if variable.categories:
            drawn = rng.choice(variable.categories, NUM_HOURS)
            usual = rng.random(NUM_HOURS) < 0.8
            values = np.where(usual, variable.normal, drawn).tolist()
            fields[variable.name] = _some(rng, values, _CATEGORICAL_CHANCE)
    arrival = {
        "Height": f"{rng.normal(170, 10):.1f}",
        "Weight": f"{rng.normal(81, 15):.1f}",
    }
    names = [variable.name for variable in VARIABLES]
    empty = [""] * NUM_HOURS
    columns = [map(repr, hours.tolist()), *(fields.get(name, empty) for name in names)]
    lines = [
        ",".join(["Hours", *names]),
        ",".join(["0.0", *(arrival.get(name, "") for name in names)]),
        *(",".join(row) for row in zip(*columns, strict=True)),
    ]
    return "\n".join([*lines, ""])


def _some(rng: np.random.Generator, values: list[str], chance: float) -> list[str]:
    kept: Any = rng.random(len(values)) < chance
    return [value if keep else "" for value, keep in zip(values, kept, strict=True)]
