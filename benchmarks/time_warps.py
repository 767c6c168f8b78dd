"""A step of training with each warp of time, taken in turn in one run, one thread.

    python -m benchmarks.time_warps           half a minute

ts-stn on batches of 64 as dataset=physionet2012 has them (82 channels, 48 hours): forward, backward
and Adam, with a warp for all channels and with one for each variable. The weights are not at the
start, so that points leave their cells. Written to benchmarks/results/time-warps-CLASS.json.
"""

import json
from collections.abc import Callable
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

WARPS = ("time-affine", "monotone", "cpab")
BATCH_SIZE, ROUNDS = 64, 200


def step(warp: str, per_channel: bool) -> Callable[[], None]:
    """One step of training."""
    own = f"warp.per_channel={str(per_channel).lower()}"
    config = compose(["dataset=physionet2012", "model=ts-stn", f"warp={warp}", own])
    spec, network = config.dataset.spec(), build_network(config)
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(BATCH_SIZE, spec.channels, *spec.size, generator=rng)
    targets = torch.arange(BATCH_SIZE) % 2
    transformer = network.transformer
    assert transformer is not None
    last = transformer.get_parameter("localization.theta.weight")
    with torch.no_grad():
        last.normal_(std=0.1, generator=rng)
    optimizer = config.optimizer.build([{"params": list(network.parameters()), "lr": 0.0}])

    def take() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(inputs), targets).backward()
        optimizer.step()

    return take


def main() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    found = {
        each: alternate({warp: step(warp, each == "for each") for warp in WARPS}, ROUNDS)
        for each in ("for all", "for each")
    }
    table = Table("ms a step", *WARPS, *(f"{warp}/time-affine" for warp in WARPS[1:]), box=None)
    for name, ms in found.items():
        ratios = [f"{ms[warp] / ms['time-affine']:.2f}" for warp in WARPS[1:]]
        table.add_row(f"a warp {name}", *(f"{ms[warp]:.2f}" for warp in WARPS), *ratios)
    Console(width=120).print(table)
    RESULTS.mkdir(exist_ok=True)
    path: Path = RESULTS / f"time-warps-{processor_class()}.json"
    result = {
        "command": "python -m benchmarks.time_warps",
        "machine": machine(),
        "step_ms": found,
    }
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
