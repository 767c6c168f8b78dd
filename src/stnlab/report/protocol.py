"""What was done otherwise than in the source, and on what: read from the run folders."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from stnlab.config import compose, identity, to_plain
from stnlab.config.identity import flatten
from stnlab.errors import UserError
from stnlab.report.results import Run, Study

_PAIRS = ("two_channel", "same_image")
_SEED_DATASETS = ("rot90", "RTS", "two-channel", "same-image", "mimic")
_CLINICAL = ("mimic", "physionet2012")
_KINDS = ("digits", *_CLINICAL)  # the parts that these datasets are
_SCORES = {"auroc": "AUROC"}  # as they are written
# Keys that may differ without making another protocol: rows differ in some, SEED's text and code in
# others.
_FREE = (
    *("seed", "dataset.seed", "dataset.permutations", "distortion.backend", "num_threads"),
    *("trainer.accelerator", "trainer.devices", "trainer.deterministic", "trainer.benchmark"),
    *("trainer.detect_anomaly", "trainer.limit_val_batches"),
)


def departures(study: Study) -> list[str]:
    """Settings in which rows with published numbers are no replica of SEED's runs, in words.

    What ``train.py`` does of itself for a dataset and a model is SEED's protocol, but for what is
    held out. Nothing is said of data that SEED has not; a key that a run does not have is as it
    should be.
    """
    found: dict[str, list[str]] = {}
    for cell in study.cells:
        for flat in (
            identity(each.config) for each in cell.complete_runs() if is_of_seed(each.config)
        ):
            theirs = _as_seed(str(flat.get("dataset.name")), str(flat.get("model.name")))
            for key, value in theirs.items():
                nothing_held_out = key == "dataset.val_size" and flat.get(key) == 0  # as SEED
                if flat.get(key, value) != value and key not in _FREE and not nothing_held_out:
                    words = f"{key} is {_word(flat[key])} where SEED has {_word(value)}"
                    found.setdefault(words, []).append(cell.name)
    every = {cell.name for cell in study.cells if cell.complete_runs()}
    return [
        words if set(cells) == every else f"{words} (in {', '.join(dict.fromkeys(cells))})"
        for words, cells in found.items()
    ]


@cache
def _as_seed(dataset: str, model: str) -> dict[str, Any]:
    """The identity of a run that sets nothing; empty for what SEED has not, and what is unknown."""
    if dataset not in _SEED_DATASETS:
        return {}
    try:
        plain = to_plain(compose([f"dataset={dataset}", f"model={model}"]))
    except UserError:
        return {}
    start = ("init", "padding")  # rows differ in them
    return identity({group: value for group, value in plain.items() if group not in start})


def _word(value: Any) -> str:
    return "null" if value is None else str(value)


def protocol_differences(studies: Sequence[Study]) -> list[str]:
    """Sentences on where these runs leave SEED's protocol or decide what it leaves open.

    Nothing where no run is on data that SEED's questions are about.
    """
    runs = [run for run in _complete(studies) if is_of_seed(run.config)]
    if not runs:
        return []
    flats = [flatten(run.config) for run in runs]
    digits = [flat for flat in flats if flat and not _is_clinical(flat)]
    stays = [flat for flat in flats if _is_clinical(flat)]
    return [
        f"{_seeds(studies)} SEED's own seeds are not known; runs differ from its in every random "
        "draw.",
        *_patients(runs),
        *_series(stays),
        *_held_out(digits),
        *_pairs(digits),
        *_distortion(digits),
        *_transformer(digits),
        *_settings(digits),
        *(f"{each}: not a replica of its runs." for study in studies for each in departures(study)),
    ]


def protocol(studies: Sequence[Study]) -> list[str]:
    """Sentences on how the runs on other data than SEED's were trained and tested."""
    runs = [run for run in _complete(studies) if not is_of_seed(run.config)]
    if not runs:
        return []
    return [_seeds(studies), *_parts(runs), *_epochs(runs), *_shown(runs)]


def _complete(studies: Sequence[Study]) -> list[Run]:
    return [run for study in studies for run in study.complete_runs()]


def is_of_seed(config: dict[str, Any]) -> bool:
    """Whether a run is on one of the datasets that SEED's questions are asked on here."""
    kind = (config.get("parts") or {}).get("dataset")
    if kind is not None:
        return kind in _KINDS
    return _name(config) in (*_SEED_DATASETS, "physionet2012")  # of before there were parts


def _is_clinical(flat: dict[str, Any]) -> bool:
    return flat.get("dataset.name") in _CLINICAL or flat.get("parts.dataset") in _CLINICAL


def _name(config: dict[str, Any]) -> str:
    dataset = config.get("dataset")
    return str(dataset.get("name")) if isinstance(dataset, dict) else ""


def _parts(runs: Sequence[Run]) -> Iterator[str]:
    """How many examples each dataset's parts have."""
    described: dict[tuple[str, str, tuple[tuple[str, int], ...]], None] = {}
    for run in runs:
        data = run.metrics.get("data")
        if isinstance(data, dict) and isinstance(data.get("n"), dict):
            what = str(data.get("examples", "examples"))
            described[_name(run.config), what, tuple(data["n"].items())] = None
    for name, what, numbers in described:
        n = dict(numbers)
        held_out = f"{n['val']:,} held out for validation" if n["val"] else "none held out"
        yield f"{name}: {n['train']:,} {what} to train on, {held_out}, {n['test']:,} to test on."


def _epochs(runs: Sequence[Run]) -> Iterator[str]:
    selected = {str((run.metrics.get("best") or {}).get("selected_by")) for run in runs}
    scores = {each.removeprefix("val ") for each in selected if each.startswith("val ")}
    for score in sorted(scores):
        yield (
            f"The last epoch and the epoch of the best validation {_SCORES.get(score, score)} are "
            "both tested, and told apart; training does not stop early. The test part plays no "
            "part in either choice."
        )
    if not scores:
        yield "The last epoch is tested; no epoch is chosen."


def _shown(runs: Sequence[Run]) -> Iterator[str]:
    """What training images went through."""
    distortions: dict[str, str] = {}
    for run in runs:
        distortion = run.config.get("distortion")
        if isinstance(distortion, dict) and "clean" in run.metrics["test"]:
            amounts = ", ".join(
                f"{key} {value:g}" for key, value in distortion.items() if _is_amount(value)
            )
            distortions[_name(run.config)] = amounts
    for name, amounts in distortions.items():
        if amounts:
            yield f"{name}: training images are distorted anew at every epoch ({amounts})."
        else:
            yield (
                f"{name}: training images are not distorted, so that the accuracy under the "
                "training distortion is that on clean images."
            )


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value != 0


def _values(flats: Sequence[dict[str, Any]], key: str) -> list[Any]:
    return list(dict.fromkeys(flat[key] for flat in flats if key in flat))


def _seeds(studies: Sequence[Study]) -> str:
    cells = [
        tuple(run.seed for run in cell.complete_runs())
        for study in studies
        for cell in study.cells
        if cell.complete_runs()
    ]
    shown = ", ".join(map(str, sorted({seed for seeds in cells for seed in seeds})))
    if len(set(cells)) == 1:
        return f"Seeds {shown}, the same for every row, so that rows can be compared seed by seed."
    return f"Seeds {shown}; rows can be compared on those that both have."


def _patients(runs: Sequence[Run]) -> Iterator[str]:
    """How many patients there are, and how many of them died."""
    described = []
    for run in runs:
        data = run.metrics.get("data")
        if isinstance(data, dict) and isinstance(data.get("positives"), dict):
            described.append(
                (str(data["name"]), tuple(data["n"].items()), tuple(data["positives"].items()))
            )
    for name, numbers, deaths in dict.fromkeys(described):
        died = dict(deaths)
        parts = "; ".join(
            f"{part} {n:,} stays, {died[part]:,} deaths ({died[part] / n:.1%})"
            for part, n in numbers
        )
        yield (
            f"{name}: {parts}. The classes are as unequal in training as in the data: no stay is "
            "weighted or drawn more often."
        )


def _series(flats: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not flats:
        return
    yield (
        "The last epoch and the epoch of the best validation AUROC are both tested, and told "
        "apart; training does not stop early. The test stays play no part in either choice."
    )
    if "ts-stn" in _values(flats, "model.name"):
        yield (
            "ts-stn's slope and offset are one each for all channels, masks and descriptors "
            "included; SEED's text has two more outputs and does not say what they act on."
        )
    sources = _values(flats, "dataset.source")
    if "physionet2012" in _values(flats, "dataset.name"):
        yield (
            "PhysioNet 2012 is no data of SEED's: its question on patients whom anyone may study, "
            "and nothing to be compared with its numbers."
        )
    if "synthetic" in sources:
        yield "The episodes are synthetic, made by a generator: nothing here is about patients."
    if "files" in sources:
        yield (
            "MIMIC-III is read as the public benchmark's discretizer reads it; SEED's data was "
            "cleaned by other hands from the same records."
        )


def _held_out(flats: Sequence[dict[str, Any]]) -> Iterator[str]:
    for size in _values(flats, "dataset.val_size"):
        if size:
            yield (
                f"{size:,} of the 60,000 training images are held out for validation; SEED trains "
                "on all of them. The test images play no part in training or in choosing an epoch."
            )
        else:
            yield "Nothing is held out: all 60,000 images are trained on, as in SEED."


def _pairs(flats: Sequence[dict[str, Any]]) -> Iterator[str]:
    paired = [flat for flat in flats if flat.get("dataset.layout") in _PAIRS]
    for permutations in _values(paired, "dataset.permutations"):
        if permutations == 2:
            yield (
                "Pairs come from two permutations of the images (2N−1 pairs), as in SEED's public "
                "code, which gave the published numbers. Its text says one (N−1 pairs)."
            )
        elif permutations == 1:
            yield (
                "Pairs come from one permutation of the images (N−1 pairs), as SEED's text says. "
                "The published numbers come from two (2N−1 pairs)."
            )
        else:
            yield f"Pairs come from {permutations} permutations; the published numbers from two."


def _distortion(flats: Sequence[dict[str, Any]]) -> Iterator[str]:
    for backend in _values(flats, "distortion.backend"):
        if backend == "tensor":
            yield (
                "Digits are distorted a batch at a time by a tensor warp; SEED uses PIL. The two "
                "agree up to PIL's rounding to whole grey levels."
            )
        elif backend == "pil":
            yield "Digits are distorted one at a time by PIL, as in SEED."


def _transformer(flats: Sequence[dict[str, Any]]) -> Iterator[str]:
    for aligned in _values(flats, "model.align_corners"):
        if aligned:
            yield "align_corners is true, PyTorch's only behaviour when SEED was written."
        else:
            yield (
                "align_corners is false; it was true in SEED, where PyTorch had no other behaviour."
            )
    inits = _values(flats, "init.name")
    if "left-right" in inits:
        yield (
            "left-right starts with the two crops at x-offsets −0.5 and +0.5. SEED's text prints "
            "−0.5 twice; its code has both."
        )
    if "random" in inits:
        yield (
            "random is a standard Gaussian bias on zero weights, as SEED's text says. Its code "
            "leaves PyTorch's own initialisation instead, which is init=torch-default here."
        )
    if "torch-default" in inits:
        yield (
            "torch-default is PyTorch's own initialisation, which SEED's code uses for what its "
            "text calls random."
        )


def _settings(flats: Sequence[dict[str, Any]]) -> Iterator[str]:
    if _values(flats, "dataset.batch_size") == [64]:
        yield "SEED gives no batch size; 64 is its public code's."


class Fact(NamedTuple):
    """One line about what the runs ran on; ``values`` with how many runs had each."""

    name: str
    values: tuple[tuple[str, int], ...]


def environment_facts(studies: Sequence[Study]) -> list[Fact]:
    """Versions, commits, devices and data, as the runs' ``metrics.json`` tell."""
    counted: dict[str, Counter[str]] = {}
    for study in studies:
        for run in study.complete_runs():
            for name, value in _facts_of(run):
                counted.setdefault(name, Counter())[value] += 1
    return [Fact(name, tuple(sorted(values.items()))) for name, values in counted.items()]


def _facts_of(run: Run) -> Iterator[tuple[str, str]]:
    environment = run.metrics.get("environment")
    if isinstance(environment, dict):
        dirty = " with uncommitted changes" if environment.get("git_dirty") else ""
        yield "git commit", f"{environment.get('git_commit') or 'not in a checkout'}{dirty}"
        for name in ("device", "processor", "kernel", "threads", "platform", "python"):
            if name in environment:
                yield name, str(environment[name])
        packages = environment.get("packages")
        if isinstance(packages, dict):
            yield from ((str(name), str(version)) for name, version in packages.items())
    data = run.metrics.get("data")
    if isinstance(data, dict):
        yield "data", f"{data.get('name')}, sha256 {data.get('sha256')}"
