"""The page of some runs: one file, with networks, weights and test digits in it."""

import base64
import dataclasses
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jinja2
import torch
from torch import Tensor

from stnlab.config import dataset_label, to_plain
from stnlab.data.image_batches import ImageParts
from stnlab.data.series_batches import SeriesParts
from stnlab.data.spec import ImageSpec, SeriesSpec
from stnlab.datasets.digits import Digits, Layout
from stnlab.errors import UserError
from stnlab.explore import network
from stnlab.explore.runs import Shown
from stnlab.parts import ImageDataset, SeriesDataset

MAX_BYTES = 3_000_000  # opens at once, and can be sent
_FOR_THE_REST = 100_000  # of them: markup, style, script and what describes the runs
_NUM_EXAMPLES = 60
_MAX_EXAMPLES_A_CLASS = 5


class Page(NamedTuple):
    """The page, and what whoever made it should know."""

    html: str
    notes: list[str]


def make_page(runs: Sequence[Shown]) -> Page:
    """The page of runs that read the same inputs.

    Raises:
        UserError: they do not, the data of the first cannot be read, or the page would be too big.
    """
    first, spec = runs[0], runs[0].spec
    num_objects = spec.num_objects if isinstance(spec, ImageSpec) else 1
    for run in runs[1:]:
        _require_same_inputs(first, run)
    parts, num_classes = _load(first)
    examples = _examples(parts, num_classes)
    pixels = len(json.dumps(examples))
    grids = sum(len(json.dumps(run.network)) for run in runs)
    if pixels + grids > MAX_BYTES - _FOR_THE_REST:
        raise UserError(
            f"the page would have more than {MAX_BYTES / 1e6:.0f} MB: some {spec.examples} of each "
            f"class have {pixels / 1e6:.1f} MB, and the runs' grids {grids / 1e6:.1f} MB."
        )
    chosen, notes = _fitting(runs, MAX_BYTES - _FOR_THE_REST - pixels - grids)
    data = {
        "spec": {
            "channels": spec.channels,
            "size": list(spec.size),
            "object_size": list(spec.object_size) if isinstance(spec, ImageSpec) else [],
            "num_objects": num_objects,
            "classes": list(first.trained.classes),
            "is_sum": num_objects > 1,
            **(_variables(first, parts) if isinstance(parts, SeriesParts) else {}),
        },
        "examples": examples,
        "runs": [
            {**run.plain, "epochs": [_epoch(run, epoch) for epoch in epochs]}
            for run, epochs in zip(runs, chosen, strict=True)
        ],
    }
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("stnlab.explore"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = templates.get_template("page.html").render(
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        dataset=dataset_label(to_plain(first.trained.config)),
        examples=spec.examples,
        has_transformer=any(run.network["transformer"] for run in runs),
        num_objects=num_objects,
        is_series=spec.is_series,
    )
    if isinstance(parts, SeriesParts) and not parts.is_synthetic:
        notes.append(
            f"{len(examples)} test {spec.examples} are in the page as they are: it may be shared "
            "only as they may."
        )
    return Page(html, notes)


def _require_same_inputs(one: Shown, other: Shown) -> None:
    same = dataclasses.replace(other.spec, examples=one.spec.examples) == one.spec
    if not same or one.trained.classes != other.trained.classes:
        shapes = [
            f"{run.trained.path} reads {' × '.join(map(str, (run.spec.channels, *run.spec.size)))} "
            f"and knows {run.spec.num_classes} classes"
            for run in (one, other)
        ]
        raise UserError(
            f"{'; '.join(shapes)}. Runs on one page read the same inputs: make a page for each."
        )


def _examples(parts: ImageParts | SeriesParts, num_classes: int) -> list[dict[str, Any]]:
    """Some test examples of each class: of single objects, where an input has several."""
    if isinstance(parts, SeriesParts):
        return [
            {"target": target, "series": network.floats(parts.test.x[place].numpy())}
            for target, place in _places(parts.test.y, num_classes)
        ]
    found = []
    for target, place in _places(parts.test.targets, num_classes):
        image = parts.test.images[parts.test.members[place, 0]]
        content = image.to(torch.uint8).contiguous().numpy().tobytes()
        found.append({"target": target, "pixels": base64.b64encode(content).decode()})
    return found


def _places(targets: Tensor, num_classes: int) -> list[tuple[int, int]]:
    """(class, place) of the first few of each class."""
    a_class = max(1, min(_MAX_EXAMPLES_A_CLASS, _NUM_EXAMPLES // num_classes))
    return [
        (target, place)
        for target in range(min(num_classes, _NUM_EXAMPLES))
        for place in (targets == target).nonzero()[:a_class, 0].tolist()
    ]


def _variables(run: Shown, parts: SeriesParts) -> dict[str, Any]:
    """The columns that can be shown, and the values that 0 and 1 stand for."""
    spec, dataset = run.spec, run.trained.config.dataset
    assert isinstance(spec, SeriesSpec)
    assert isinstance(dataset, SeriesDataset)
    return {
        "unit": spec.unit,
        "shown": dataset.shown_variable,
        "variables": [
            {
                "name": name,
                "channel": channel,
                "scale": list(map(float, parts.scale.get(name, (0, 1)))),
            }
            for channel, name in enumerate(spec.columns)
            if "->" not in name
        ],
    }


def _load(run: Shown) -> tuple[ImageParts | SeriesParts, int]:
    """The run's data and its classes: of single objects, where an input has several."""
    spec, dataset = run.spec, run.trained.config.dataset
    if isinstance(dataset, SeriesDataset):
        return dataset.of_run(run.trained.config.seed).load(), spec.num_classes
    assert isinstance(dataset, ImageDataset)
    assert isinstance(spec, ImageSpec)
    if spec.num_objects == 1:
        return dataset.load(), spec.num_classes
    if not isinstance(dataset, Digits):
        raise UserError(
            f"{run.trained.path}: the page shows several objects of digits alone, and "
            f"dataset={dataset.name} has others."
        )
    single = dataclasses.replace(dataset, layout=Layout.single)
    return single.load(), single.spec().num_classes


def _epoch(run: Shown, epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "weights": network.weights(run.weights[epoch])}


def _fitting(runs: Sequence[Shown], num_bytes: int) -> tuple[list[list[int]], list[str]]:
    """Each run's epochs that are shown: all, or as many, evenly spaced, as there is room for."""
    sizes = [4 * sum(v.numel() for v in run.trained.network.state_dict().values()) for run in runs]
    sizes = [4 * -(-size // 3) for size in sizes]  # as base64
    if sum(sizes) > num_bytes:
        raise UserError(
            f"the page would have more than {MAX_BYTES / 1e6:.0f} MB: the networks have "
            f"{sum(sizes) / 1e6:.1f} MB of weights. Show fewer runs, or smaller ones."
        )
    at_most = max(len(run.weights) for run in runs)

    def needed(num: int) -> int:
        return sum(size * min(num, len(run.weights)) for size, run in zip(sizes, runs, strict=True))

    while needed(at_most) > num_bytes:
        at_most -= 1
    chosen = [_spread(sorted(run.weights), at_most) for run in runs]
    notes = [
        f"{run.trained.path}: {len(epochs)} of {len(run.weights)} epochs are shown, so that the "
        f"page stays under {MAX_BYTES / 1e6:.0f} MB."
        for run, epochs in zip(runs, chosen, strict=True)
        if len(epochs) < len(run.weights)
    ]
    return chosen, notes


def _spread(epochs: list[int], num: int) -> list[int]:
    """At most ``num`` of them, the last and evenly before it."""
    if num >= len(epochs):
        return epochs
    if num == 1:
        return epochs[-1:]
    places = [round(i * (len(epochs) - 1) / (num - 1)) for i in range(num)]
    return [epochs[place] for place in places]
