"""A step of training with each warp, taken in turn in one run, one thread.

    python -m benchmarks.warps                a minute

Forward, backward and Adam on batches of 64. Of images: stn and stn-fcn on digits as
dataset=jaderberg-r (28x28) and -rts (42x42) have them, padding=black. Of series: ts-stn on
dataset=physionet2012 (82 channels, 48 hours), with a warp for all channels and with one for each
variable. The weights are not at the start, so that points leave their cells. Written to
benchmarks/results/warps-CLASS.json.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table

from benchmarks.machine import RESULTS, machine, processor_class
from benchmarks.operators import alternate
from stnlab.config import compose
from stnlab.layers.network import build_network
from stnlab.run.overhead import keep_freed_memory

_IMAGES = ("affine", "similarity", "projective", "tps")
_TIME = ("time-affine", "monotone", "cpab")
_ON_SERIES = ("dataset=physionet2012", "model=ts-stn")
SETTINGS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    **{
        f"{model}, {dataset}": (
            _IMAGES,
            (f"dataset={dataset}", f"model={model}", "padding=black"),
        )
        for model in ("stn", "stn-fcn")
        for dataset in ("jaderberg-r", "jaderberg-rts")
    },
    "ts-stn, for all": (_TIME, (*_ON_SERIES, "warp.per_channel=false")),
    "ts-stn, for each": (_TIME, (*_ON_SERIES, "warp.per_channel=true")),
}  # what is trained: the warps, of which the first is compared with, and the overrides
BATCH_SIZE, ROUNDS = 64, 200


def step(overrides: Sequence[str]) -> Callable[[], None]:
    """One step of training."""
    config = compose(overrides)
    spec, network = config.dataset.spec(), build_network(config)
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(BATCH_SIZE, spec.channels, *spec.size, generator=rng)
    targets = torch.arange(BATCH_SIZE) % 2
    transformer = network.transformer
    assert transformer is not None
    last = transformer.get_parameter("localization.theta.weight")
    with torch.no_grad():
        last.normal_(std=0.1 / last.shape[1] ** 0.5, generator=rng)
    optimizer = config.optimizer.build([{"params": list(network.parameters()), "lr": 0.0}])

    def take() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(inputs), targets).backward()
        optimizer.step()

    return take


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    table = Table("ms a step", "warp", "", "times the first", box=None)
    found = {}
    for name, (warps, overrides) in SETTINGS.items():
        steps = {warp: step([f"warp={warp}", *overrides]) for warp in warps}
        found[name] = ms = alternate(steps, ROUNDS)
        for warp in warps:
            table.add_row(name, warp, f"{ms[warp]:.2f}", f"{ms[warp] / ms[warps[0]]:.2f}")
    Console(width=120).print(table)
    RESULTS.mkdir(exist_ok=True)
    path: Path = RESULTS / f"warps-{processor_class()}.json"
    result = {
        "command": "python -m benchmarks.warps",
        "machine": machine(),
        "step_ms": found,
    }
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
