"""What a run ran on."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from stnlab.data.places import IS_CHECKOUT, PROJECT_DIR
from stnlab.kernels import compiled

# What a sweep writes there is no change of what its runs compute with.
_BUT_RESULTS = ("--", ".", ":(exclude)results")
_PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy")


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, git commit (null outside a checkout), threads, device, and the kernel's path."""
    is_cuda = device.type == "cuda"
    return {
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain", "--untracked-files=no", *_BUT_RESULTS)),
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "kernel": "torch" if is_cuda else compiled.path(),
        "device": torch.cuda.get_device_name(device) if is_cuda else str(device),
    }


def _processor() -> str:
    """The processor's name as Linux tells it; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    if not (IS_CHECKOUT and (PROJECT_DIR / ".git").exists()):
        return None
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=PROJECT_DIR, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
