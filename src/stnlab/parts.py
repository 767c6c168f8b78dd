"""Parts: what the groups of ``conf/`` offer, ours and a user's through the same door.

A part is one class in one file: a dataclass whose fields are its typed keys, with its rules
(:meth:`check`) and with what it makes. It is made known by a decorator, and chosen by a file of
``conf/<group>/`` that names it in its defaults list::

    @add_optimizer("rmsprop")                      # my_parts.py
    @dataclass
    class RMSprop(OptimizerPart):
        alpha: float = 0.99

        def build(self, groups): ...

    # my/conf/optimizer/rmsprop.yaml               # chosen by optimizer=rmsprop
    defaults:
      - /schema/optimizer/rmsprop@_here_
      - _self_
    lr: 0.01

Declaring a part takes neither torch nor the data, so that help and mistakes are told at once: what
needs them is imported where it is used. A key's default is the value that runs of before the key
existed count as having.
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from stnlab.data.spec import DatasetSpec, ImageSpec, SeriesSpec
from stnlab.errors import UserError
from stnlab.rules import (
    require_count,
    require_folder_name,
    require_not_negative,
    require_path,
    require_positive,
)

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from pytorch_lightning import Callback
    from torch import Tensor, nn

    from stnlab.data.image_batches import Examples, ImageParts
    from stnlab.data.series_batches import SeriesParts
    from stnlab.folder import RunFolder
    from stnlab.run.experiment import Experiment
    from stnlab.schema import ExperimentConfig


@dataclass
class Part:
    """What every part has."""

    # Keys that say where a run happens or how it is shown, and are no part of what it is.
    circumstances: ClassVar[tuple[str, ...]] = ()

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        """Refuse what makes no sense of the part's own keys, or of what it is combined with.

        Raises:
            UserError: naming the key, what was found, what is allowed, and what to do.
        """


# --- datasets


@dataclass
class DatasetPart(Part):
    """Examples, and what is asked of them. Use :class:`ImageDataset` or :class:`SeriesDataset`."""

    circumstances: ClassVar[tuple[str, ...]] = ("root",)

    name: str = MISSING
    root: str | None = None  # folder of the data; null: what the project ships
    batch_size: int = 64

    def spec(self) -> DatasetSpec:
        """Shape, classes and kind of task.

        Raises:
            UserError: where it depends on the data, and the data are missing or wrong.
        """
        raise NotImplementedError(f"{type(self).__name__}.spec")

    def checksums(self) -> dict[str, str]:
        """The checksums that ``data`` of ``metrics.json`` would have of a run now.

        A complete run that has others is on other data. It is asked at every look at such a run,
        so it must be quick (:func:`stnlab.data.checksum.kept`); empty says nothing is known.
        """
        return {}

    def is_at_hand(self) -> bool:
        """Whether its examples are there to be read, with no download and no preparation."""
        return True

    def experiment(self, config: "ExperimentConfig", folder: "RunFolder") -> "Experiment":
        """The data of one run, read and ready."""
        raise NotImplementedError(f"{type(self).__name__}.experiment")

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        require_folder_name("dataset.name", self.name)
        if self.root is not None:
            require_path("dataset.root", self.root)
        require_count("dataset.batch_size", self.batch_size)


@dataclass
class ImageDataset(DatasetPart):
    """Images in memory, distorted anew at every epoch.

    A dataset of one's own says :meth:`spec` and :meth:`load`; batches, tests, robustness curves,
    figures, TensorBoard and the report follow. What pictures of other makes must go through before
    such a network reads them is said here, too.
    """

    light_on_dark: ClassVar[bool] = False  # the objects are light, their background dark
    keeps_aspect: ClassVar[bool] = False  # another shape is padded; else it is stretched
    # What robustness curves are drawn over: of stnlab.evaluation.robustness.AMOUNTS.
    factors: ClassVar[tuple[str, ...]] = ("rotation", "translation", "scale")

    @property
    def margin(self) -> int:
        """Pixels of background on each side of an object's own picture, as on a canvas."""
        return 0

    def spec(self) -> ImageSpec:
        raise NotImplementedError(f"{type(self).__name__}.spec")

    def load(self) -> "ImageParts":
        """Read the training, validation and test examples."""
        raise NotImplementedError(f"{type(self).__name__}.load")

    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation by which :meth:`load` has pixels in [0, 1] normalised.

        Here the images are read for it; a dataset that knows them says so.
        """
        parts = self.load()
        return parts.mean, parts.std

    def experiment(self, config: "ExperimentConfig", folder: "RunFolder") -> "Experiment":
        from stnlab.run.images import ImageExperiment

        return ImageExperiment(config, folder)


@dataclass
class SeriesDataset(DatasetPart):
    """Series in memory, all as long as the longest.

    A dataset of one's own says :meth:`spec` and :meth:`load`. Where shorter ones keep their length,
    the spec has ``unequal_lengths``, and the parts have ``lengths``.
    """

    circumstances: ClassVar[tuple[str, ...]] = ("root", "shown_variable")

    shown_variable: str | None = None  # in figures before and after the warp; null: the first

    def spec(self) -> SeriesSpec:
        raise NotImplementedError(f"{type(self).__name__}.spec")

    def load(self) -> "SeriesParts":
        """Read the training, validation and test series."""
        raise NotImplementedError(f"{type(self).__name__}.load")

    def of_run(self, seed: int) -> "SeriesDataset":
        """What a run of this seed reads, where its seed decides who is tested on."""
        return self

    def experiment(self, config: "ExperimentConfig", folder: "RunFolder") -> "Experiment":
        from stnlab.run.series import SeriesExperiment

        return SeriesExperiment(config, folder)

    # What :meth:`prepare` does, in words, for those who do it elsewhere.
    preparation: ClassVar[str] = (
        "Each column less its mean, by its deviation (scale); carried forward over gaps, 0 before "
        "the first value; mask->x is 1 where x was measured."
    )

    def raw_columns(self, spec: SeriesSpec) -> tuple[str, ...]:
        """What series in their own units hold, channel by channel."""
        return tuple(name for name in spec.columns if not name.startswith("mask->"))

    def prepare(
        self, raw: "NDArray[np.float32]", spec: SeriesSpec, scale: Mapping[str, Sequence[float]]
    ) -> "NDArray[np.float32]":
        """Series in their own units as the network reads them.

        Args:
            raw: (N, :meth:`raw_columns`, steps), NaN where nothing was measured.
            spec: of the dataset.
            scale: (mean, deviation) by column, of the training part.

        Returns:
            (N, channels, steps).
        """
        from stnlab.data.inputs import standardised

        return standardised(raw, spec.columns, scale, spec.unequal_lengths)

    def read(self, path: "Path", spec: SeriesSpec) -> "NDArray[np.float32]":
        """Series in their own units, (N, :meth:`raw_columns`, steps), from a file.

        A ``.ts`` holds several, with classes that play no part; a table one.
        """
        if path.suffix == ".ts":
            from stnlab.data.series.ts import read_part

            return read_part(path).x
        from stnlab.data.inputs import read_table

        return read_table(path, self.raw_columns(spec), spec.size[0], spec.unequal_lengths)

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        assert isinstance(spec, SeriesSpec)
        known = [name for name in spec.columns if "->" not in name]
        if self.shown_variable is not None and self.shown_variable not in known:
            from stnlab.errors import did_you_mean

            raise UserError(
                f"dataset.shown_variable is '{self.shown_variable}', which is no continuous column "
                f"of dataset={self.name}.{did_you_mean(self.shown_variable, known)} Allowed: "
                f"{', '.join(known)}."
            )


# --- networks


@dataclass
class ModelPart(Part):
    """A network."""

    name: str = MISSING

    @property
    def has_transformer(self) -> bool:
        """Whether it warps its input: only then do warp, init and padding apply."""
        return False

    def num_thetas(self, spec: DatasetSpec) -> int:
        """How many thetas one pass of the localization network predicts, for such inputs."""
        return 1

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "nn.Module":
        """The network, with its weights drawn from torch's global generator.

        Either a :class:`stnlab.layers.network.Network`, or any module that takes inputs
        (N, channels, *size) to logits (N, classes).
        """
        raise NotImplementedError(f"{type(self).__name__}.build")

    def learning_rates(self) -> dict[str, float]:
        """Rates other than ``optimizer.lr``: by the first word of the parameters' names."""
        return {}

    def warmup_steps(self) -> dict[str, int]:
        """Over how many steps a rate rises from 0, on top of the schedule: by the same words."""
        return {}

    def penalty(
        self,
        config: "ExperimentConfig",
        spec: DatasetSpec,
    ) -> "Callable[[Tensor], Tensor] | None":
        """What training adds to the cross-entropy: a function of a batch's thetas.

        They are (N, V, parameters). None adds nothing.
        """
        return None

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        require_folder_name("model.name", self.name)


@dataclass
class WarpPart(Part):
    """A family of warps: theta's entries by name, and what they do.

    Convention: every family maps *destination to source*, in normalised coordinates as
    :mod:`stnlab.geometry.affine` and :mod:`stnlab.geometry.time` state them.
    """

    num_axes: ClassVar[int] = 2  # 2: of images; 1: of time

    name: str = MISSING

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Of theta's entries, in their order; a class attribute will do."""
        raise NotImplementedError(f"{type(self).__name__}.parameter_names")

    @property
    def identity(self) -> tuple[float, ...]:
        """Theta of the warp that changes nothing; a class attribute will do."""
        raise NotImplementedError(f"{type(self).__name__}.identity")

    def start(self, affine: Sequence[float]) -> tuple[float, ...] | None:
        """The theta of an affine map [theta11, theta12, theta13, theta21, theta22, theta23].

        None where the family cannot do it.
        """
        if list(affine) == [1, 0, 0, 0, 1, 0]:
            return self.identity
        return None

    def describe(self, theta: "Tensor") -> "dict[str, Tensor]":
        """What thetas (N, parameters) say, by name: (N,) each."""
        return dict(zip(self.parameter_names, theta.unbind(1), strict=True))

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        require_folder_name("warp.name", self.name)
        if (self.num_axes == 1) != spec.is_series:
            what, other = ("images", "series of time") if spec.is_series else ("time", "images")
            raise UserError(
                f"warp={self.name} does not go with dataset={config.dataset.name}: it warps "
                f"{what}, and these are {other}. Use warp="
                f"{'time-affine' if spec.is_series else 'affine'}."
            )


@dataclass
class ImageWarp(WarpPart):
    """A warp of images: a family of one's own says its names, its identity and :meth:`grid`."""

    # For the page to play with (stnlab.explore): the grid as a matrix of JavaScript expressions in
    # theta[0], theta[1], … and aspect, the view's width by its height. It takes (x, y, 1) of the
    # destination to the source's, up to a factor. A grid that is linear in theta needs none.
    matrix_in_javascript: ClassVar[tuple[tuple[str, str, str], ...] | None] = None

    def grid(self, theta: "Tensor", size: tuple[int, int], align_corners: bool) -> "Tensor":
        """The source point of every destination pixel.

        Args:
            theta: (N, parameters).
            size: (height, width) of the destination, in pixels.
            align_corners: what -1 and 1 mean; see :mod:`stnlab.geometry.affine`.

        Returns:
            (N, height, width, 2), normalised (x, y).
        """
        raise NotImplementedError(f"{type(self).__name__}.grid")

    def area(
        self, theta: "Tensor", image_size: tuple[int, int], view_size: tuple[int, int]
    ) -> "Tensor":
        """Pixels of the image that a pixel of the view stands for, (N,): the median over the view.

        Here it is measured on the grid; a family that knows better says so.
        """
        from stnlab.geometry.affine import area_of_grid

        return area_of_grid(self.grid(theta, view_size, True), image_size)

    def share_outside(
        self, theta: "Tensor", size: tuple[int, int], align_corners: bool
    ) -> "Tensor":
        """Share of the sampling grid that falls outside the source, (N,) in [0, 1]."""
        from stnlab.geometry.affine import share_of_grid_outside

        return share_of_grid_outside(self.grid(theta, size, align_corners))

    def local_affine(self, theta: "Tensor", size: tuple[int, int]) -> "Tensor":
        """The affine map that the warp is at the centre of a view of (height, width) pixels.

        Here it is measured on a grid of that shape, over a fourteenth of the view to each side or
        less; a family that knows better says so.

        Returns:
            (N, 2, 3), destination to source, in normalised coordinates.
        """
        import torch

        row, column = (round(14 * side / min(size)) for side in size)
        grid = self.grid(theta, (2 * row + 1, 2 * column + 1), True)
        along_x = (grid[:, row, column + 1] - grid[:, row, column - 1]) * (column / 2)
        along_y = (grid[:, row + 1, column] - grid[:, row - 1, column]) * (row / 2)
        return torch.stack([along_x, along_y, grid[:, row, column]], dim=2)


@dataclass
class TimeWarp(WarpPart):
    """A warp of time: a family of one's own says its names, its identity and :meth:`moments`."""

    num_axes: ClassVar[int] = 1

    per_channel: bool = False  # a warp for each channel; those of one variable share theirs
    roughness: float = 0.0  # so many times roughness_of is added to the loss of training

    def moments(
        self,
        theta: "Tensor",
        num_steps: int,
        align_corners: bool,
        lengths: "Tensor | None" = None,
    ) -> "Tensor":
        """Where each output step is read, in steps of the input: (N, num_steps).

        Args:
            theta: (N, parameters).
            num_steps: of a series, or of the longest.
            align_corners: what -1 and 1 mean; see :mod:`stnlab.geometry.time`.
            lengths: (N,), the steps that each series has, where that is not ``num_steps``; what
                stands past them does not count. A family that is never asked for series of unequal
                length needs no such argument.
        """
        raise NotImplementedError(f"{type(self).__name__}.moments")

    def inverse_moments(
        self,
        theta: "Tensor",
        num_steps: int,
        align_corners: bool,
        lengths: "Tensor | None" = None,
    ) -> "Tensor":
        """Where each input step is shown, in steps of the output: the way back, (N, num_steps).

        Here it is found on the moments, for warps in which time never runs backward, NaN where a
        step is not shown; a family that knows better says so.
        """
        from stnlab.geometry.time import inverted

        if lengths is not None:
            raise NotImplementedError(f"{type(self).__name__}.inverse_moments of unequal lengths")
        return inverted(self.moments(theta, num_steps, align_corners))

    def tempo(self, theta: "Tensor", num_steps: int) -> "Tensor":
        """Steps of the series per step of the view, without sign: (N,), the mean over the view.

        A warp that stays at some moments and hurries between them reads as much as one that does
        not. Here it is measured on the moments; a family that knows better says so.
        """
        return self.moments(theta, num_steps, True).diff(dim=1).abs().mean(dim=1)

    def roughness_of(self, theta: "Tensor") -> "Tensor":
        """How far thetas (N, parameters) are from leaving all as it is, on the mean: ().

        Here it is the squared distance of theta from the identity; a family that bends time says
        how much it does.
        """
        away = theta - theta.new_tensor(self.identity)
        return away.square().sum(dim=1).mean()

    def penalty(self, theta: "Tensor") -> "Tensor | None":
        """What is added to the loss of training for thetas (N, parameters): (), or nothing."""
        return None if self.roughness == 0 else self.roughness * self.roughness_of(theta)

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require_not_negative("warp.roughness", self.roughness)


@dataclass
class InitPart(Part):
    """Where the localization network starts."""

    name: str = MISSING

    def start(self, warp: WarpPart, num_views: int, seed: int) -> "Tensor | None":
        """Thetas (num_views, parameters) that are predicted at first.

        None leaves PyTorch's own initialisation of the last layer.
        """
        raise NotImplementedError(f"{type(self).__name__}.start")

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        require_folder_name("init.name", self.name)


@dataclass
class PaddingPart(Part):
    """What a sampling point outside the input reads."""

    @property
    def label(self) -> str:
        """Its word in a cell's name, and the sampler's padding mode."""
        raise NotImplementedError(f"{type(self).__name__}.label")

    def value(self, dataset: DatasetPart, spec: DatasetSpec) -> tuple[float, ...] | None:
        """What the sampler's padding mode needs to know: a value for each channel of an input."""
        return None


# --- distortion and training


@dataclass
class DistortionPart(Part):
    """What training images go through: an augmentation of one's own says :meth:`draw` and
    :meth:`apply`.
    """

    @property
    def is_none(self) -> bool:
        """Whether it changes nothing at all."""
        return False

    def draw(self, num_images: int, size: tuple[int, int], rng: "torch.Generator") -> "Tensor":
        """The random numbers of so many images of ``size``, (num_images, ...), on the CPU.

        Only ``rng`` is drawn from, so that an image's distortion follows from its key alone.
        """
        raise NotImplementedError(f"{type(self).__name__}.draw")

    def apply(self, images: "Tensor", drawn: "Tensor") -> "Tensor":
        """Distort images (N, C, H, W) uint8 by their numbers: float32 in [0, 255], same shape."""
        raise NotImplementedError(f"{type(self).__name__}.apply")

    def apply_among(
        self,
        images: "Tensor",
        drawn: "Tensor",
        part: "Examples",
    ) -> "Tensor":
        """:meth:`apply`, of which something may come from the other examples of their part.

        The drawn numbers say from which: the images are some of them alone.
        """
        return self.apply(images, drawn)

    def affine(self, drawn: "Tensor", size: tuple[int, int]) -> "Tensor | None":
        """The affine maps that so many drawn distortions of images of ``size`` are.

        Where it is known, what a warp takes back of it is measured
        (:mod:`stnlab.evaluation.recovery`).

        Returns:
            (N, 2, 3), from the distorted image to the original, in pixels from the centre of
            either; None where a distortion is no affine map.
        """
        return None


@dataclass
class OptimizerPart(Part):
    """A torch optimizer, under torch's argument names."""

    lr: float = MISSING

    def build(self, groups: list[dict[str, Any]]) -> "torch.optim.Optimizer":
        """The optimizer of some parameter groups."""
        raise NotImplementedError(f"{type(self).__name__}.build")

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        require_positive("optimizer.lr", self.lr)


@dataclass
class SchedulePart(Part):
    """How the learning rate changes, as a function of the step alone.

    So a resumed run has the rates of one that never stopped.
    """

    # Whether a step's factor depends on how many steps there will be; then no run of it goes on to
    # more epochs than it was begun with.
    needs_num_steps: ClassVar[bool] = False

    name: str = "none"

    def factor(self, step: int, num_steps: int) -> float:
        """What the rates are multiplied by at ``step``, 0 to ``num_steps`` - 1."""
        raise NotImplementedError(f"{type(self).__name__}.factor")

    def rate(self, lr: float, step: int, num_steps: int) -> float:
        """The rate at ``step`` of parameters whose own is ``lr``: it times :meth:`factor`."""
        return lr * self.factor(step, num_steps)


# --- the registry

GROUPS: dict[str, type[Part]] = {
    "dataset": DatasetPart,
    "model": ModelPart,
    "warp": WarpPart,
    "init": InitPart,
    "padding": PaddingPart,
    "distortion": DistortionPart,
    "optimizer": OptimizerPart,
    "schedule": SchedulePart,
}
_PARTS: dict[str, dict[str, type[Part]]] = {group: {} for group in GROUPS}
_CALLBACKS: "list[Callable[[ExperimentConfig], Callback]]" = []

P = TypeVar("P", bound=type[Part])


def _adder(group: str) -> Callable[[str], Callable[[P], P]]:
    def named(name: str) -> Callable[[P], P]:
        def added(part: P) -> P:
            _add(group, name, part)
            return part

        return added

    named.__name__ = f"add_{group}"
    named.__doc__ = f"Offer a part as ``/schema/{group}/<name>``: a decorator of its dataclass."
    return named


add_dataset = _adder("dataset")
add_model = _adder("model")
add_warp = _adder("warp")
add_init = _adder("init")
add_padding = _adder("padding")
add_distortion = _adder("distortion")
add_optimizer = _adder("optimizer")
add_schedule = _adder("schedule")


def _add(group: str, name: str, part: type[Part]) -> None:
    base, before = GROUPS[group], _PARTS[group].get(name)
    if not (isinstance(part, type) and issubclass(part, base) and dataclasses.is_dataclass(part)):
        raise UserError(
            f"add_{group}('{name}'): {getattr(part, '__name__', part)} is no dataclass derived "
            f"from {base.__name__}. Write @add_{group}('{name}') above @dataclass."
        )
    if "__dataclass_fields__" not in part.__dict__:
        raise UserError(
            f"add_{group}('{name}'): {part.__name__} has no @dataclass of its own, so its keys "
            "would not be known. Write @dataclass between add and class."
        )
    if before is not None and (before.__module__, before.__name__) != (
        part.__module__,
        part.__name__,
    ):
        raise UserError(
            f"add_{group}('{name}'): {before.__module__} has offered a part of this name already. "
            "Choose another."
        )
    _PARTS[group][name] = part
    ConfigStore.instance().store(group=f"schema/{group}", name=name, node=part)


def add_callback(make: "Callable[[ExperimentConfig], Callback]") -> None:
    """Have every run use a Lightning callback of one's own: ``make(config)`` makes it."""
    _CALLBACKS.append(make)


def callback_modules() -> set[str]:
    """The modules that have added callbacks."""
    return {make.__module__ for make in _CALLBACKS}


def callbacks(config: "ExperimentConfig") -> "list[Callback]":
    """The users' callbacks for a run."""
    return [make(config) for make in _CALLBACKS]


def kind_of(part: Part) -> tuple[str, str]:
    """The (group, name) under which a part's class is offered."""
    for group, offered in _PARTS.items():
        for name, each in offered.items():
            if type(part) is each:
                return group, name
    raise UserError(
        f"{type(part).__name__} is not offered by any module that was imported; name its file with "
        "--with."
    )


def offered(group: str) -> dict[str, type[Part]]:
    """The parts of a group, by name."""
    return dict(_PARTS[group])


def circumstances() -> set[str]:
    """All parts' keys that are no part of what a run is, as ``group.key``."""
    return {
        f"{group}.{key}"
        for group, parts in _PARTS.items()
        for part in parts.values()
        for key in part.circumstances
    }


def load_own() -> None:
    """Import the modules that offer stnlab's own parts; a new file among them is found."""
    import stnlab

    own = {name for _, name, _ in pkgutil.iter_modules(stnlab.__path__)}
    for group in GROUPS:
        module = f"stnlab.{group}s"
        if f"{group}s" not in own:
            continue
        imported = importlib.import_module(module)
        for _, name, _ in pkgutil.iter_modules(getattr(imported, "__path__", [])):
            importlib.import_module(f"{module}.{name}")
