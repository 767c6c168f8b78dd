"""stnlab: spatial transformer networks, reproduced and extended.

What is named here is for others to use, and is imported when it is first asked for: neither torch
nor a config is needed before. Layers for networks of one's own are in :mod:`stnlab.nn`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stnlab.data.spec import DatasetSpec, ImageSpec, SeriesSpec, Task
    from stnlab.errors import UserError
    from stnlab.parts import (
        DatasetPart,
        DistortionPart,
        ImageDataset,
        ImageWarp,
        InitPart,
        ModelPart,
        OptimizerPart,
        PaddingPart,
        SchedulePart,
        SeriesDataset,
        TimeWarp,
        WarpPart,
        add_callback,
        add_dataset,
        add_distortion,
        add_init,
        add_model,
        add_optimizer,
        add_padding,
        add_schedule,
        add_warp,
    )
    from stnlab.trained import Prediction, Trained, load

_HOMES = {
    "stnlab.data.spec": ("DatasetSpec", "ImageSpec", "SeriesSpec", "Task"),
    "stnlab.errors": ("UserError",),
    "stnlab.parts": (
        *("DatasetPart", "ImageDataset", "SeriesDataset", "ModelPart", "InitPart", "PaddingPart"),
        *("WarpPart", "ImageWarp", "TimeWarp", "DistortionPart", "OptimizerPart", "SchedulePart"),
        *("add_dataset", "add_model", "add_warp", "add_init", "add_padding", "add_distortion"),
        *("add_optimizer", "add_schedule", "add_callback"),
    ),
    "stnlab.trained": ("Prediction", "Trained", "load"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "DatasetPart",
    "DatasetSpec",
    "DistortionPart",
    "ImageDataset",
    "ImageSpec",
    "ImageWarp",
    "InitPart",
    "ModelPart",
    "OptimizerPart",
    "PaddingPart",
    "Prediction",
    "SchedulePart",
    "SeriesDataset",
    "SeriesSpec",
    "Task",
    "TimeWarp",
    "Trained",
    "UserError",
    "WarpPart",
    "add_callback",
    "add_dataset",
    "add_distortion",
    "add_init",
    "add_model",
    "add_optimizer",
    "add_padding",
    "add_schedule",
    "add_warp",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'stnlab' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
