"""One seed gives the same numbers however it is run; how far they differ where they may.

    python tests/reliability/sameness.py
    python tests/reliability/sameness.py --kind digits --whole --python OTHER/bin/python

A run alone is compared with runs of the same seed: beside another one, by ``train.py -m``, by
``sweep.py``, stopped and resumed. What these leave must be identical, bit for bit. With two
threads, an older processor's instructions or another torch (``--python``), sums round differently
and training carries that on. There the table shows by how much the loss of the first step differs
(far, should dropout draw otherwise), the validation after the first epoch, and the test after the
last (of digits: of distorted ones). The data, the number of steps and the start are the same
everywhere: the order of the examples, the distortions, and the weights wherever the processor has
fused multiply-add, with which torch makes them.

The exit status is 0 where all is the same that must be.
"""

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from rich.console import Console
from same_run import KINDS, DifferenceError, check_same_results
from short_run import SHORT

from stnlab.config import PROJECT_DIR, compose, folder
from stnlab.distortions import Similarity
from stnlab.folder import RunFolder
from stnlab.run.recorder import load_checkpoint
from stnlab.run.run import Run

KINDS = {**KINDS, "pairs": ["dataset=same-image", "model=multi-stn", "init=left-right", *SHORT]}
WHOLE = [f"trainer.limit_{part}_batches=1.0" for part in ("train", "val", "test")]
SEED, OTHER_SEED = 0, 1

# For torch's own kernels, oneDNN (convolutions), MKL (products of matrices), NumPy and OpenBLAS
# (clinical metrics), and the project's own. MKL heeds MKL_ENABLE_INSTRUCTIONS on Intel's processors
# alone; NumPy's names of features changed with 2.4, and it passes over those that it does not know.
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F,AVX512_ICL,X86_V4",
    "OPENBLAS_CORETYPE": "Haswell",
    "STNLAB_KERNEL": "avx2",
}
SSE41 = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "AVX2,FMA3,X86_V3,AVX512F,AVX512_ICL,X86_V4",
    "OPENBLAS_CORETYPE": "Nehalem",
    "STNLAB_KERNEL": "plain",
}


@dataclass(frozen=True)
class Variant:
    """A way to come to a seed's numbers."""

    name: str
    way: Callable[["Place"], None]
    must_be_identical: bool = False
    has_fma: bool = True
    overrides: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable


@dataclass(frozen=True)
class Place:
    """A variant of a kind of run, and the folder for all that it writes."""

    path: Path
    kind: str
    overrides: list[str]
    variant: Variant

    @property
    def all_overrides(self) -> list[str]:
        own = [f"output_dir={self.path / 'outputs'}"]
        if self.kind == "clinical":
            own.append(f"dataset.root={self.path / 'data'}")
        return [*KINDS[self.kind], *self.overrides, *self.variant.overrides, *own]

    @property
    def run(self) -> Path:
        return folder(compose([*self.all_overrides, f"seed={SEED}"]))

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a script of the project on these overrides; its source is the same in any venv."""
        self.path.mkdir(exist_ok=True)
        source = {"PYTHONPATH": str(PROJECT_DIR / "src")}
        return subprocess.Popen(
            [self.variant.python, str(PROJECT_DIR / script), *arguments, *self.all_overrides],
            cwd=self.path,
            env={**os.environ, **source, **self.variant.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def output(process: subprocess.Popen[str], status: int = 0) -> str:
    """What a process has printed, once it has ended with that status."""
    out, err = process.communicate()
    if process.returncode != status:
        raise RuntimeError(f"exit status {process.returncode} of {process.args}\n{out}{err}")
    return out


# --- ways to run a seed


def alone(place: Place) -> None:
    output(place.start("train.py", f"seed={SEED}"))


def beside_another(place: Place) -> None:
    for process in [place.start("train.py", f"seed={seed}") for seed in (OTHER_SEED, SEED)]:
        output(process)


def by_multirun(place: Place) -> None:
    output(place.start("train.py", "-m", f"seed={OTHER_SEED},{SEED}"))


def by_sweep(place: Place) -> None:
    output(place.start("sweep.py", f"seeds=[{OTHER_SEED},{SEED}]", "hydra.launcher.n_jobs=2"))


def resumed(place: Place) -> None:
    process = place.start("train.py", f"seed={SEED}")
    while not (place.run / "checkpoints" / "last.ckpt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.terminate()
    output(process, status=143)
    alone(place)


ALONE = Variant("alone", alone)
VARIANTS = [
    Variant("beside another", beside_another, must_be_identical=True),
    Variant("train.py -m", by_multirun, must_be_identical=True),
    Variant("sweep.py", by_sweep, must_be_identical=True),
    Variant("resumed", resumed, must_be_identical=True),
    Variant("2 threads", alone, overrides=("num_threads=2",)),
    Variant("without the kernel", alone, environment={"STNLAB_KERNEL": "torch"}),
    Variant("AVX2", alone, environment=AVX2),
    Variant("SSE4.1", alone, has_fma=False, environment=SSE41),
]


# --- what is compared


def beginning(overrides: list[str]) -> dict[str, Any]:
    """What a run begins with, and the loss of its first step."""
    digests = {"order": hashlib.sha256(), "distortions": hashlib.sha256()}
    torch.randperm = noting(torch.randperm, digests["order"])
    Similarity.draw = noting(Similarity.draw, digests["distortions"])  # type: ignore[method-assign]
    config = compose([*overrides, "trainer.max_epochs=1", "trainer.limit_train_batches=1"])
    run = Run(config, RunFolder(folder(config)), Console(quiet=True))
    weights = b"".join(each.numpy().tobytes() for each in run.task.state_dict().values())
    run.folder.path.mkdir(parents=True)
    run.fit()
    return {
        "weights": hashlib.sha256(weights).hexdigest(),
        **{name: digest.hexdigest() for name, digest in digests.items()},
        "loss of step 1": run.recorder.history[0]["train_loss"],
        "computed by": f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}",
    }


def noting(draw: Callable[..., torch.Tensor], digest: Any) -> Callable[..., torch.Tensor]:
    """``draw``, with all that it draws added to ``digest``."""

    def noted(*arguments: Any, **settings: Any) -> torch.Tensor:
        drawn = draw(*arguments, **settings)
        digest.update(drawn.numpy().tobytes())
        return drawn

    return noted


def begun(place: Place) -> dict[str, Any]:
    """The :func:`beginning` of a run, from a process of its own."""
    apart = Place(place.path / "beginning", place.kind, place.overrides, place.variant)
    return json.loads(output(apart.start(__file__, "--beginning", f"seed={SEED}")))


def ended(place: Place) -> dict[str, Any]:
    """What a complete run came to."""
    metrics = json.loads((place.run / "metrics.json").read_text())
    epoch_1, *_ = csv.DictReader((place.run / "history.csv").read_text().splitlines())
    test = metrics["test"].get("distorted", metrics["test"])
    score = "accuracy" if "accuracy" in test else "auroc"
    return {
        "data": metrics["data"]["sha256"],
        "steps": load_checkpoint(place.run / "checkpoints" / "last.ckpt")["global_step"],
        "val loss, epoch 1": float(epoch_1["val_loss"]),
        f"val {score}, epoch 1": float(epoch_1[f"val_{score}"]),
        "test loss": test["loss"],
        f"test {score}": test[score],
    }


def difference(run: Path, before: Path) -> str | None:
    """What differs first of all that two runs have left."""
    try:
        check_same_results(run, before)
    except DifferenceError as error:
        return str(error)
    return None


# --- the whole


def compare(root: Path, kind: str, overrides: list[str], variants: list[Variant]) -> list[str]:
    """Print the table of a kind of run; returns what differs and must not."""
    first = Place(root / "alone", kind, overrides, ALONE)
    alone(first)
    # In the first one's own circumstances the beginning would only be computed again.
    start = {} if all(each.must_be_identical for each in variants) else begun(first)
    expected = start | ended(first)
    numbers = [name for name, value in expected.items() if isinstance(value, float)]
    fixed = [name for name in expected if name not in (*numbers, "computed by")]
    print(f"{kind}: {', '.join(f'{name} {str(expected[name])[:12]}' for name in fixed)}")
    show("", *numbers, "data and start", "all it leaves", "computed by")
    show(*["---"] * (4 + len(numbers)))
    values = [f"{expected[name]:.6f}" for name in numbers]
    show("alone", *values, "", "", expected.get("computed by", ""))
    failures = []
    for number, variant in enumerate(variants):
        place = Place(root / f"variant-{number}", kind, overrides, variant)
        variant.way(place)
        found = ended(place) if variant.must_be_identical else begun(place) | ended(place)
        distances = [
            distance(found[name], expected[name]) if name in found else "" for name in numbers
        ]
        others = [name for name in fixed if found.get(name, expected[name]) != expected[name]]
        differs = difference(place.run, first.run)
        show(
            variant.name,
            *distances,
            f"other {', '.join(others)}" if others else "same",
            "differs" if differs else "identical",
            found.get("computed by", ""),
        )
        wrong = [f"other {name}" for name in others if name != "weights" or variant.has_fma]
        if differs and variant.must_be_identical:
            wrong.append(differs)
        failures += [f"{kind}, {variant.name}: {each}" for each in wrong]
    print(flush=True)
    return failures


def distance(found: float, expected: float) -> str:
    return f"{abs(found - expected):.1e}" if found != expected else "0"


def show(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=KINDS, action="append", help="the default is all")
    names = [variant.name for variant in VARIANTS]
    parser.add_argument("--variant", choices=names, action="append", help="the default is all")
    parser.add_argument("--python", action="append", default=[], help="another one to run with")
    parser.add_argument("--epochs", type=int, default=3, help="of every run (3)")
    parser.add_argument("--whole", action="store_true", help="whole epochs and tests, not 20 steps")
    parser.add_argument("overrides", nargs="*", help="more of every run's, as optimizer.lr=0.0005")
    parser.add_argument("--beginning", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.beginning:
        print(json.dumps(beginning(arguments.overrides)))
        return 0
    limits = WHOLE if arguments.whole else []
    overrides = [f"trainer.max_epochs={arguments.epochs}", *limits, *arguments.overrides]
    variants = [each for each in VARIANTS if each.name in (arguments.variant or names)]
    variants += [Variant(python, alone, python=python) for python in arguments.python]
    failures, began = [], time.monotonic()
    with tempfile.TemporaryDirectory() as root:
        for kind in arguments.kind or KINDS:
            place = Path(root) / kind
            place.mkdir()
            failures += compare(place, kind, overrides, variants)
    print(f"{len(failures)} not the same that must be ({time.monotonic() - began:.0f} s)")
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
