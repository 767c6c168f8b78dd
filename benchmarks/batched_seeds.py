"""Whether the seeds of a cell should be one batched program: torch.func against one by one.

    python -m benchmarks.batched_seeds            about 2 minutes
    python -m benchmarks.batched_seeds --avx2     as on a processor without AVX-512

One step (forward, backward, Adam; batch 64) of SEEDS networks at once, each with its own images and
weights, as torch.vmap makes it of our network (grouped convolutions), against as many steps of one
network after another: with the compiled kernel, and with torch's operators. One thread each, so
that the ratio is also that of processes side by side. In alternation; a ratio is of neighbours.
The result is written to benchmarks/results/batched-seeds-CLASS.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor

from benchmarks.machine import RESULTS, as_avx2, machine, processor_class
from stnlab.config import compose
from stnlab.kernels import compiled
from stnlab.kernels.adam import OneCallAdam

CASES = (("RTS", "cnn"), ("RTS", "stn"), ("two-channel", "multi-stn"))
SEEDS, BATCH_SIZE, ROUNDS, STEPS = 5, 64, 9, 10


def batch_of_seeds(networks: list[torch.nn.Module]) -> Callable[[Tensor, Tensor], None]:
    """A step of all networks by torch.vmap: inputs (seeds, N, C, H, W), targets (seeds, N)."""
    parameters, _ = torch.func.stack_module_state(networks)  # type: ignore[arg-type]  # typed as a list of all, takes any
    leaves = {name: each.detach().requires_grad_() for name, each in parameters.items()}
    optimizer = torch.optim.Adam(leaves.values(), fused=True)

    def loss(parameters: dict[str, Tensor], images: Tensor, targets: Tensor) -> Tensor:
        logits = torch.func.functional_call(networks[0], parameters, (images,))
        return F.cross_entropy(logits, targets)

    losses = torch.vmap(loss, randomness="different")

    def step(images: Tensor, targets: Tensor) -> None:
        optimizer.zero_grad()
        losses(leaves, images, targets).sum().backward()
        optimizer.step()

    return step


def one_by_one(networks: list[torch.nn.Module]) -> Callable[[Tensor, Tensor], None]:
    """The same work, a network at a time."""
    optimizers = [OneCallAdam(network.parameters()) for network in networks]

    def step(images: Tensor, targets: Tensor) -> None:
        for seed, (network, optimizer) in enumerate(zip(networks, optimizers, strict=True)):
            optimizer.zero_grad()
            F.cross_entropy(network(images[seed]), targets[seed]).backward()
            optimizer.step()

    return step


def measure(dataset: str, model: str) -> dict[str, Any]:
    """Milliseconds a step of one seed each way, and how many times faster the batched one is."""

    def networks() -> list[torch.nn.Module]:
        configs = [
            compose([f"dataset={dataset}", f"model={model}", f"seed={seed}"])
            for seed in range(SEEDS)
        ]
        return [each.model.build(each, each.dataset.spec()).train() for each in configs]

    spec = compose([f"dataset={dataset}"]).dataset.spec()
    images = torch.randn(SEEDS, BATCH_SIZE, spec.channels, *spec.size)
    targets = torch.randint(spec.num_classes, (SEEDS, BATCH_SIZE))
    batched, alone = batch_of_seeds(networks()), one_by_one(networks())
    ms: dict[str, list[float]] = {"batched": [], "kernel": [], "operators": []}
    for number in range(ROUNDS + 1):
        for kind, step in (("batched", batched), ("kernel", alone), ("operators", alone)):
            path = "torch" if kind == "operators" else compiled.path()
            with mock.patch.object(compiled, "path", return_value=path):
                began = time.perf_counter()
                for _ in range(STEPS):
                    step(images, targets)
                if number > 0:  # the first warms up
                    ms[kind].append(1000 * (time.perf_counter() - began) / STEPS / SEEDS)
    ratios = {
        kind: [one / other for one, other in zip(ms[kind], ms["batched"], strict=True)]
        for kind in ("kernel", "operators")
    }
    return {
        "dataset": dataset,
        "model": model,
        "ms_per_step_of_a_seed": {kind: statistics.median(each) for kind, each in ms.items()},
        "over_batched": {
            kind: {"median": statistics.median(each), "least": min(each), "most": max(each)}
            for kind, each in ratios.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--avx2", action="store_true", help="without AVX-512")
    if parser.parse_args().avx2:
        as_avx2()
    torch.set_num_threads(1)
    rows = [measure(*case) for case in CASES]
    console = Console()
    for row in rows:
        console.print(row)
    path = RESULTS / f"batched-seeds-{processor_class()}.json"
    result = {
        "command": "python -m benchmarks.batched_seeds",
        "machine": machine(),
        "kernel": compiled.path(),
        "seeds": SEEDS,
        "cases": rows,
    }
    path.write_text(json.dumps(result, indent=2) + "\n")
    console.print(f"written to {path}", soft_wrap=True)


if __name__ == "__main__":
    main()
