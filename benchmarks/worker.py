"""One measurement in a process of its own: warm up, say "ready", wait for "go", measure.

    python -m benchmarks.worker KIND DATASET MODEL INIT STEPS

KIND is "ours", "ours-and-bare" (in turn with our data and model in a plain loop) or "naive-0",
"naive-2", "naive-4" (by DataLoader workers). The last line printed is the result as JSON.
"""

import contextlib
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import naive
from stnlab.config import ExperimentConfig, compose
from stnlab.data import mnist
from stnlab.datasets.digits import Digits
from stnlab.folder import RunFolder
from stnlab.run.images import ImageExperiment
from stnlab.run.run import Run, spared_of_needless_work

_WARM_UP_STEPS = 20
_ROUNDS_OF_OURS_AND_BARE = 5


class _SecondEpoch(Callback):
    """Waits at the start of the second epoch (the first is the warm-up) and times its steps."""

    def __init__(self, wait: bool) -> None:
        self.wait = wait
        self.ends: list[tuple[float, int]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            if self.wait:
                _wait_for_go()
            self.ends = []

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        self.ends.append((time.perf_counter(), trainer.global_step))


def _wait_for_go() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def _seconds(steps: Iterator[object], num_steps: int, wait: bool = True) -> float:
    for _ in range(_WARM_UP_STEPS):
        next(steps)
    if wait:
        _wait_for_go()
    began = time.perf_counter()
    for _ in range(num_steps):
        next(steps)
    return time.perf_counter() - began


def _prepared(config: ExperimentConfig) -> Run:
    return Run(config, RunFolder(Path(tempfile.mkdtemp())), Console(quiet=True))


def _ours(config: ExperimentConfig, num_steps: int, wait: bool = True) -> float:
    """What ``num_steps`` steps of a *whole* epoch take, its start and its end included.

    Start (drawing all distortions) and end (metrics) belong to many more steps than are measured.
    """
    run = _prepared(config)
    epoch = _SecondEpoch(wait)
    run.trainer.callbacks.append(epoch)
    run.fit()
    (began, first), (ended, last) = epoch.ends[0], epoch.ends[-1]
    a_step = (ended - began) / (last - first)
    start_and_end = run.recorder.history[1]["seconds"] - num_steps * a_step
    assert isinstance(run.experiment, ImageExperiment)
    steps_of_an_epoch = -(-len(run.experiment.parts.train) // config.dataset.batch_size)
    return num_steps * (a_step + start_and_end / steps_of_an_epoch)


def bare_steps(config: ExperimentConfig) -> Iterator[None]:
    """Our data and our network in a plain loop."""
    run = _prepared(config)
    network, optimizer = run.task.network.train(), run.task.configure_optimizers()
    while True:
        for images, targets in run.experiment.train_batches():
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images), targets).backward()
            optimizer.step()
            yield


def _ours_and_bare(config: ExperimentConfig, num_steps: int) -> tuple[float, float]:
    """Both in this process, in turn: processes differ by more than the two do."""
    _wait_for_go()
    ours, bare = [], []
    for _ in range(_ROUNDS_OF_OURS_AND_BARE):
        ours.append(_ours(config, num_steps, wait=False))
        bare.append(_seconds(bare_steps(config), num_steps, wait=False))
    return statistics.median(ours), statistics.median(bare)


def _naive(config: ExperimentConfig, num_steps: int, workers: int) -> float:
    assert isinstance(config.dataset, Digits)
    torch.set_num_threads(2)
    parts, digits = config.dataset.load(), mnist.load()
    amounts = config.distortion
    layout = config.dataset.layout.name
    dataset = naive.Digits(
        digits.train_images,
        digits.train_labels,
        parts.train.members,
        layout,
        (amounts.rotation, amounts.translation, amounts.scale),
    )
    network = naive.build(layout, config.model.name, config.dataset.spec().num_classes)
    return _seconds(naive.steps(dataset, network, workers), num_steps)


def flops(config: ExperimentConfig) -> int:
    """Multiplications and additions of one training step of the plain network."""
    assert isinstance(config.dataset, Digits)
    spec = config.dataset.spec()
    network = naive.build(config.dataset.layout.name, config.model.name, spec.num_classes)
    images = torch.zeros(64, spec.channels, *spec.size)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    return counter.get_total_flops()


def short_config(dataset: str, model: str, init: str, num_steps: int) -> ExperimentConfig:
    """Two epochs of so many steps, on the CPU, with nothing held out."""
    return compose(
        [
            f"dataset={dataset}",
            f"model={model}",
            f"init={init}",
            "dataset.val_size=0",
            "trainer.accelerator=cpu",
            "trainer.max_epochs=2",
            f"trainer.limit_train_batches={num_steps}",
        ]
    )


def main() -> None:
    kind, dataset, model, init, num_steps = sys.argv[1:]
    config = short_config(dataset, model, init, int(num_steps))
    steps = int(num_steps)
    extra: dict[str, float] = {}
    with spared_of_needless_work(), contextlib.redirect_stderr(sys.stdout):
        if kind == "ours":
            seconds = _ours(config, steps)
        elif kind == "ours-and-bare":
            seconds, bare = _ours_and_bare(config, steps)
            extra = {"bare_ms_per_step": 1000 * bare / steps}
        else:
            seconds = _naive(config, steps, workers=int(kind.split("-")[1]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "ms_per_step": 1000 * seconds / steps,
                "peak_mib": peak,
                "flops": flops(config),
                **extra,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
