"""Which machine a measurement was made on, and as which kind of processor it was used."""

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"

# For torch's own kernels, oneDNN and ours. MKL's matrix products keep what they choose.
_AS_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "STNLAB_KERNEL": "avx2",
}


def as_avx2() -> None:
    """Start this program anew as on a processor without AVX-512: ``--avx2``."""
    if any(os.environ.get(name) != value for name, value in _AS_AVX2.items()):
        os.execve(sys.executable, sys.orig_argv, os.environ | _AS_AVX2)


def processor_class() -> str:
    """What results are filed under: "avx2", "avx512", ..."""
    return torch.backends.cpu.get_cpu_capability().lower()


def machine() -> dict[str, Any]:
    """What a result belongs to."""
    return {
        "processor": _processor(),
        "class": processor_class(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    except OSError:
        return platform.processor() or platform.machine()
    said = {name.strip(): value.strip() for name, _, value in lines}
    family = f"family {said.get('cpu family')}, model {said.get('model')}"
    return f"{said.get('model name', platform.machine())} ({family})"


def flop_rate() -> float:
    """FLOP/s of a large single-precision matrix product on one thread."""
    torch.set_num_threads(1)
    a = torch.randn(1536, 1536)
    times = []
    for _ in range(12):
        began = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - began)
    return 2 * 1536**3 / min(times)
