"""Where the time of a training step goes, operator by operator, beside what the FLOPs allow.

    python -m benchmarks.profile            every case of the image study, about 2 minutes
    python -m benchmarks.profile --avx2     as on a processor without AVX-512
    python -m benchmarks.profile --quick    fewer steps

One process, one thread, our data and network in a plain loop. "blocks" is the time in the compiled
kernel, its call included, "matrix products" that in linear layers (and in convolutions, where the
kernel is not taken: STNLAB_KERNEL=torch), "limit" what the FLOPs of both take at the speed of a
large matrix product on one core; all other columns have no FLOPs to speak of: they are memory
traffic and fixed costs. Step, profile and matrix product are measured in turn; what is told is the
median of seven rounds. The result is written to benchmarks/results/profile-CLASS.json.
"""

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from benchmarks.machine import RESULTS, as_avx2, flop_rate, machine, processor_class
from benchmarks.training import CASES
from benchmarks.worker import bare_steps, flops, short_config
from stnlab.kernels import compiled
from stnlab.run.overhead import spared_of_needless_work

# By the beginning of an operator's name; the first that fits.
_KINDS = {
    "blocks": ("_Chain",),
    "matrix products": (
        "aten::convolution_backward",
        "aten::mkldnn_convolution",
        "aten::_convolution",  # transposed convolutions have no operator of their own
        "aten::mkldnn_linear",
        "aten::addmm",
        "aten::mm",
        "aten::bmm",
    ),
    "pooling and ReLU": (
        "aten::maximum",
        "aten::sub",
        "aten::relu",
        "aten::threshold",
        "aten::max_pool",
        "aten::clamp",
        "aten::where",
        "aten::ge",
        "aten::gt",
        "aten::mul",
        "aten::add_",
    ),
    "sampling": ("aten::grid_sampler",),
    "copies": ("aten::copy_", "aten::cat", "aten::fill_", "aten::zero_", "aten::clone"),
    "dropout": ("aten::bernoulli_", "aten::native_dropout", "aten::div"),
    "optimizer": ("aten::_fused_adam",),
}
ROUNDS = 7
_OTHERS = "other operators"
_NO_OPERATOR = "outside operators"  # Python, autograd's and the dispatcher's own work


def measure(case: tuple[Any, ...], num_steps: int) -> dict[str, Any]:
    """Milliseconds a step of each kind of operator."""
    config = short_config(*case[:3], num_steps)
    steps = bare_steps(config)
    whole: list[float] = []
    limits: list[float] = []
    operators: dict[str, list[float]] = {}
    with spared_of_needless_work():
        _ms_a_step(steps, 20)
        for _ in range(ROUNDS):  # in turn, for a neighbour on the machine to slow down both
            limits.append(1000 * flops(config) / flop_rate())
            whole.append(_ms_a_step(steps, num_steps))
            with profile(activities=[ProfilerActivity.CPU]) as profiled:
                _ms_a_step(steps, num_steps)
            for each in profiled.key_averages():
                if each.key.startswith(("aten::", "_Chain")) and each.self_cpu_time_total:
                    ms = each.self_cpu_time_total / 1000 / num_steps
                    operators.setdefault(each.key, []).append(ms)
    step = statistics.median(whole)
    medians = {name: round(statistics.median(ms), 4) for name, ms in operators.items()}
    kinds: Counter[str] = Counter()
    for name, ms in medians.items():
        kinds[_kind(name)] += ms
    kinds[_NO_OPERATOR] = max(step - sum(kinds.values()), 0.0)
    dearest = sorted(medians, key=medians.__getitem__, reverse=True)[:15]
    shares = [limit / ms for limit, ms in zip(limits, whole, strict=True)]
    return {
        "dataset": case[0],
        "model": case[1],
        "ms_per_step": step,
        "limit_ms": statistics.median(limits),
        "share_of_flop_limit": statistics.median(shares),
        "kinds": dict(kinds),
        "dearest_operators": {name: medians[name] for name in dearest},
    }


def _ms_a_step(steps: Iterator[None], num_steps: int) -> float:
    began = time.perf_counter()
    for _ in range(num_steps):
        next(steps)
    return 1000 * (time.perf_counter() - began) / num_steps


def _kind(operator: str) -> str:
    for kind, beginnings in _KINDS.items():
        if operator.startswith(beginnings):
            return kind
    return _OTHERS


def show(rows: list[dict[str, Any]], console: Console) -> None:
    table = Table(box=None, title="ms a step, batch 64, one process", title_justify="left")
    kinds = [*_KINDS, _OTHERS, _NO_OPERATOR]
    for column in ("", "step", "limit", "share", *kinds):
        table.add_column(column, justify="right" if column else "left")
    for row in rows:
        table.add_row(
            f"{row['dataset']} {row['model']}",
            f"{row['ms_per_step']:.2f}",
            f"{row['limit_ms']:.2f}",
            f"{row['share_of_flop_limit']:.0%}",
            *(f"{row['kinds'].get(kind, 0.0):.2f}" for kind in kinds),
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer steps")
    parser.add_argument("--avx2", action="store_true", help="without AVX-512")
    arguments = parser.parse_args()
    if arguments.avx2:
        as_avx2()
    num_steps = 5 if arguments.quick else 20
    console = Console(width=160)
    rows = [measure(case, num_steps) for case in CASES]
    show(rows, console)
    path = RESULTS / f"profile-{processor_class()}.json"
    command = f"python -m benchmarks.profile{' --avx2' if arguments.avx2 else ''}"
    result = {
        "command": command,
        "machine": machine(),
        "kernel": compiled.path(),
        "cases": rows,
    }
    path.write_text(json.dumps(result, indent=2) + "\n")
    console.print(f"written to {path}", soft_wrap=True)


if __name__ == "__main__":
    main()
