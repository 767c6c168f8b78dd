"""Measurements in a process of its own, as often as they are asked for.

    python -m benchmarks.worker KIND DATASET MODEL INIT STEPS

KIND is "ours" or "naive-0", "naive-2", "naive-4" (by DataLoader workers). Once it is warm, each
line of its input, "go" or (of "ours") "bare" (our data and our network in a plain loop), is
answered by one line of JSON.
"""

import contextlib
import json
import resource
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


class _Bursts(Callback):
    """Each epoch after the first, which is the warm-up, waits to be asked for.

    What is told of it are the steps of a *whole* epoch, its start and its end included. Start
    (drawing all distortions) and end (metrics, checkpoint) belong to many more steps than are run.
    """

    def __init__(self, run: Run, num_steps: int) -> None:
        assert isinstance(run.experiment, ImageExperiment)
        self.run = run
        self.num_steps = num_steps
        batch_size = run.experiment.dataset.batch_size
        self.steps_of_an_epoch = -(-len(run.experiment.parts.train) // batch_size)
        self.bare = bare_steps(run.config)
        self.ends: list[tuple[float, int]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 0:
            _steps(self.bare, _WARM_UP_STEPS)
            return
        if trainer.current_epoch > 1:
            _answer(self._ms())
        while (asked := sys.stdin.readline()) == "bare\n":
            _answer(_steps(self.bare, self.num_steps))
        if not asked:
            trainer.should_stop = True
            raise StopIteration
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

    def _ms(self) -> float:
        (began, first), (ended, last) = self.ends[0], self.ends[-1]
        a_step = (ended - began) / (last - first)
        start_and_end = self.run.recorder.history[-1]["seconds"] - self.num_steps * a_step
        return 1000 * (a_step + start_and_end / self.steps_of_an_epoch)


def _answer(ms: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"ms_per_step": ms, "peak_mib": peak}), flush=True)


def _steps(steps: Iterator[object], num_steps: int) -> float:
    """Milliseconds a step."""
    began = time.perf_counter()
    for _ in range(num_steps):
        next(steps)
    return 1000 * (time.perf_counter() - began) / num_steps


def _prepared(config: ExperimentConfig) -> Run:
    return Run(config, RunFolder(Path(tempfile.mkdtemp())), Console(quiet=True))


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


def _ours(config: ExperimentConfig, num_steps: int) -> None:
    run = _prepared(config)
    run.trainer.callbacks.append(_Bursts(run, num_steps))
    with contextlib.suppress(StopIteration):
        run.fit()


def _naive(config: ExperimentConfig, num_steps: int, workers: int) -> None:
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
    steps = naive.steps(dataset, network, workers)
    _steps(steps, _WARM_UP_STEPS)
    while sys.stdin.readline():
        _answer(_steps(steps, num_steps))


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
    """Epochs of so many steps, on the CPU, with nothing held out."""
    return compose(
        [
            f"dataset={dataset}",
            f"model={model}",
            f"init={init}",
            "dataset.val_size=0",
            "trainer.accelerator=cpu",
            "trainer.max_epochs=1000",
            f"trainer.limit_train_batches={num_steps}",
        ]
    )


def main() -> None:
    kind, dataset, model, init, num_steps = sys.argv[1:]
    config = short_config(dataset, model, init, int(num_steps))
    with spared_of_needless_work(), contextlib.redirect_stderr(sys.stdout):
        if kind == "ours":
            _ours(config, int(num_steps))
        else:
            _naive(config, int(num_steps), workers=int(kind.split("-")[1]))


if __name__ == "__main__":
    main()
