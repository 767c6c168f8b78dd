"""A run on images."""

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from stnlab.checkpoints import load_epoch
from stnlab.data.batches import BatchSource
from stnlab.data.image_batches import Examples, ImageBatches, normalise, to_pixels
from stnlab.data.randomness import Stream
from stnlab.data.spec import ImageSpec
from stnlab.distortions import Backend, Similarity, alone, distort
from stnlab.distortions.scaled import Scaled
from stnlab.evaluation import collapse, confusion, recovery, robustness, scores
from stnlab.files import write_atomically
from stnlab.folder import RunFolder
from stnlab.geometry.affine import in_pixels, similarity_theta
from stnlab.layers.network import Network
from stnlab.layers.transformer import SpatialTransformer, Transformer
from stnlab.parts import DistortionPart, ImageDataset
from stnlab.report import figures
from stnlab.report.film_strip import Frame, as_picture, film_strip, outline_of
from stnlab.report.panels import labelled_panel
from stnlab.report.style import save
from stnlab.run.experiment import Experiment, Predict
from stnlab.schema import ExperimentConfig
from stnlab.task import Predictions

_NUM_PANEL_EXAMPLES, _PANEL_EXAMPLES_A_ROW = 12, 6
_NUM_FIGURE_EXAMPLES = 32
_PANEL_HEIGHT = 84  # pixels that a small image is enlarged to, at most
_NUM_STRIPS = 4
_MOST_EPOCHS = 13  # of a strip
_NUM_MISTAKES = 24
# What grows along a strip: how its amounts are written, and which they are.
_STRIPS: dict[str, tuple[str, list[float]]] = {
    "angle": (".0f}°", [20.0 * step for step in range(-6, 7)]),  # degrees
    "shift": (".2f}", [0.05 * step for step in range(-6, 7)]),  # shares of the width, both axes
    "scale": (".1f}", [0.4 + 0.1 * step for step in range(13)]),
}


class ImageExperiment(Experiment):
    """Images: tested clean and distorted, with robustness curves where each has one object."""

    def __init__(self, config: ExperimentConfig, folder: RunFolder) -> None:
        super().__init__(config, folder)
        assert isinstance(config.dataset, ImageDataset)
        self.dataset = config.dataset
        self.distortion = config.distortion
        self.parts = config.dataset.load()
        spec = config.dataset.spec()
        self.spec: ImageSpec = spec.normalised(self.parts.mean, self.parts.std)
        shown = self.parts.val if self.has_validation else self.parts.train
        self._panel_inputs = self._distorted(
            shown, _NUM_PANEL_EXAMPLES, self.distortion, Stream.val_distortion
        )
        self._panel_targets = shown.targets[:_NUM_PANEL_EXAMPLES].tolist()

    @property
    def has_validation(self) -> bool:
        return len(self.parts.val) > 0

    @property
    def data(self) -> dict[str, Any]:
        return {
            "name": self.parts.name,
            "sha256": self.parts.sha256,
            "examples": self.spec.examples,
            "n": {name: len(getattr(self.parts, name)) for name in ("train", "val", "test")},
        }

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {
            "mean": list(self.parts.mean),
            "std": list(self.parts.std),
            "light_on_dark": self.dataset.light_on_dark,
            "keeps_aspect": self.dataset.keeps_aspect,
            "margin": self.dataset.margin,
        }

    def place_on(self, device: torch.device) -> None:
        self.parts = self.parts.to(device)

    # --- batches

    def train_batches(self) -> ImageBatches:
        return self._batches(
            self.parts.train,
            self.dataset.batch_size,
            self.distortion,
            distortion_key=(self.config.seed,),
            order_key=(self.config.seed,),
            limit=self.config.trainer.limit_train_batches,
        )

    def val_batches(self) -> ImageBatches:
        key = (self.fixed_seed, Stream.val_distortion)
        return self._batches(
            self.parts.val, self.TEST_BATCH_SIZE, self.distortion, distortion_key=key
        )

    @property
    def fixed_seed(self) -> int:
        """What is the same for all runs on the data: the distortions of validation and test."""
        return int(getattr(self.dataset, "seed", 0))

    def test_batches(self) -> list[BatchSource]:
        return list(self._test_parts().values())

    def _test_parts(self) -> dict[str, BatchSource]:
        return {"clean": self._test(Similarity()), "distorted": self._test(self.distortion)}

    def _test(self, distortion: DistortionPart) -> ImageBatches:
        key = (self.fixed_seed, Stream.test_distortion)
        return self._batches(self.parts.test, self.TEST_BATCH_SIZE, distortion, distortion_key=key)

    def _batches(
        self, examples: Examples, batch_size: int, distortion: DistortionPart, **keys: Any
    ) -> ImageBatches:
        return ImageBatches(
            examples,
            self.spec,
            mean=self.parts.mean,
            std=self.parts.std,
            batch_size=batch_size,
            distortion=distortion,
            **keys,
        )

    def _distorted(
        self, source: Examples, number: int, distortion: DistortionPart, stream: Stream
    ) -> torch.Tensor:
        """The first inputs of a part, (number, C, H, W), under some distortion."""
        examples = Examples(source.images, source.members[:number], source.targets[:number])
        batches = self._batches(
            examples, number, distortion, distortion_key=(self.fixed_seed, stream)
        )
        return next(iter(batches))[0]

    def _alone(self, factor: str, amount: float) -> DistortionPart:
        """So much of one factor, by the run's own backend."""
        own = self.distortion
        backend = own.backend if isinstance(own, Similarity | Scaled) else Backend.tensor
        return alone(factor, amount, backend)

    # --- what came out

    def test_scores(self, predictions: list[Predictions]) -> dict[str, Any]:
        return {
            part: scores.scores(self.spec.task, found.logits, found.targets)
            for part, found in zip(self._test_parts(), predictions, strict=True)
        }

    def diagnosis(
        self, network: Network, test: dict[str, Any], predictions: list[Predictions]
    ) -> dict[str, Any]:
        return self.collapse(network, test["clean"], predictions[0])

    def collapse(
        self, network: Network, found: scores.Scores, predictions: Predictions
    ) -> dict[str, Any]:
        transformer, seen = network.transformer, []
        if isinstance(transformer, SpatialTransformer) and predictions.theta is not None:
            seen = collapse.views(
                transformer.warp,
                predictions.theta,
                self.spec.size,
                transformer.view_size,
                transformer.align_corners,
            )
        reason = collapse.collapse_reason(found, predictions.targets, seen, self.spec.examples)
        return {
            "collapsed": reason is not None,
            "collapsed_reason": reason,
            "views": [view._asdict() for view in seen],
        }

    def write(
        self,
        network: Network,
        last: list[Predictions],
        best: list[Predictions],
        predict: Predict,
    ) -> dict[str, Any]:
        self.write_classes(last[0], self.parts.test_names)
        if self.draws:
            self._draw_warps(network)
            self._draw_mistakes(last[0])
        if self.spec.num_objects > 1:
            return {}
        if self.draws:
            self._draw_film_strips(network)
        alone = self._measure_robustness(predict)
        return self._recovered(network, last[1], alone)

    def _draw_mistakes(self, clean: Predictions) -> None:
        """The undistorted test examples whose wrong class is thought most probable."""
        labels, shares = confusion.most_probable(clean.logits)
        targets = clean.targets.cpu()
        wrong = (labels != targets).nonzero().flatten()
        worst = wrong[shares[wrong].argsort(descending=True, stable=True)][:_NUM_MISTAKES]
        if len(worst) == 0:
            return
        test = self.parts.test.to(torch.device("cpu"))
        chosen = Examples(test.images, test.members[worst], test.targets[worst])
        inputs = self._distorted(chosen, len(worst), Similarity(), Stream.test_distortion)
        name = self.spec.class_name
        figures.draw_mistakes(
            self.folder.figures / "mistakes.png",
            f"{self.title()}: {len(worst)} of {len(wrong)} mistakes in {len(targets)} test "
            f"{self.spec.examples},\nthose thought most probable: the class, what it is taken for",
            [as_picture(beside) for beside in self._side_by_side(self._shown(inputs))],
            [
                f"{name(int(targets[place]))} → {name(int(labels[place]))}, {shares[place]:.0%}"
                for place in worst
            ],
        )

    def _side_by_side(self, images: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) of channels that are no colours: (N, 1, H, C · W)."""
        colours = images.shape[1] == 3 and not self.spec.objects_have_channels
        return images if colours else torch.cat(images.unbind(dim=1), dim=2).unsqueeze(1)

    def _measure_robustness(self, predict: Predict) -> dict[tuple[str, float], Predictions]:
        """The curves; returns what they are made of."""
        settings = robustness.settings(self.dataset.factors)
        found = predict([self._test(self._alone(*setting)) for setting in settings])
        points = [
            robustness.Point(
                factor,
                amount,
                scores.scores(self.spec.task, each.logits, each.targets)["accuracy"],
                len(each.targets),
            )
            for (factor, amount), each in zip(settings, found, strict=True)
        ]
        rows = [",".join(robustness.Point._fields), *(",".join(map(str, row)) for row in points)]
        write_atomically(self.folder.robustness, "\n".join(rows) + "\n")
        if self.draws:
            figures.draw_robustness(
                self.folder.figures / "robustness.svg", f"{self.title()}: robustness", points
            )
        return dict(zip(settings, found, strict=True))

    def _recovered(
        self,
        network: Network,
        distorted: Predictions,
        alone: Mapping[tuple[str, float], Predictions],
    ) -> dict[str, Any]:
        """``recovered`` of ``metrics.json``: what of the distortion the warp takes back."""
        trained = self._moved(network, self.distortion, distorted)
        if trained is None:
            return {}
        far = {}
        for factor, most in dict(alone.keys()).items():  # the largest amount comes last
            moved = self._moved(network, self._alone(factor, most), alone[factor, most])
            if moved is not None:
                far[factor] = moved
        found = recovery.summary(trained, far, self.spec.class_name)
        if self.draws and "rotation" in found and found["rotation"]["within"] is not None:
            figure = figures.rotation_recovered(
                self.title(), found["rotation"], far["rotation"], self.spec.class_name
            )
            path = self.folder.figures / "rotation-recovered.png"
            save(figure, path)
            self.shown[f"{self.spec.examples}/rotation recovered"] = path
        return {"recovered": found}

    def _moved(
        self, network: Network, distortion: DistortionPart, found: Predictions
    ) -> recovery.Moved | None:
        """What a distortion of the test part did, and the warp; None where either is no motion."""
        transformer, theta = network.transformer, found.theta
        if not isinstance(transformer, SpatialTransformer) or theta is None or theta.shape[1] > 1:
            return None
        applied = self._applied(self._test(distortion))
        if applied is None:
            return None
        return recovery.Moved(
            recovery.applied(applied[: len(theta)]),
            self._taken_back(transformer, theta[:, 0]),
            found.targets.cpu().numpy(),
            (found.logits.argmax(dim=1) == found.targets).cpu().numpy(),
        )

    @staticmethod
    def _applied(batches: ImageBatches) -> torch.Tensor | None:
        """The distortions of images of one object as affine maps (N, 2, 3), if they are any."""
        drawn = batches.drawn()
        if drawn is None:
            return None
        height, width = batches.examples.images.shape[2:]
        return batches.distortion.affine(drawn[:, 0].cpu(), (height, width))

    def _taken_back(self, transformer: SpatialTransformer, theta: torch.Tensor) -> recovery.Motion:
        """What thetas (N, parameters) of one view undo."""
        size = transformer.view_size
        affine = transformer.warp.local_affine(theta.float().cpu(), size)
        return recovery.taken_back(
            in_pixels(affine, self.spec.size, size, transformer.align_corners)
        )

    @torch.no_grad()
    def _draw_warps(self, network: Network) -> None:
        """Originals beside transformed at the distortions of SEED's figures."""
        transformer = network.transformer
        if transformer is None:
            return
        transformer.eval().to("cpu", torch.float32)
        test = self.parts.test.to(torch.device("cpu"))
        shown: dict[str, DistortionPart] = {"training distortion": self.distortion}
        if self.spec.num_objects == 1:
            shown |= {
                f"{factor} {amount:g}": self._alone(factor, amount)
                for factor, amount in robustness.FIGURE_AMOUNTS.items()
                if factor in self.dataset.factors
            }
        for name, distortion in shown.items():
            inputs = self._distorted(test, _NUM_FIGURE_EXAMPLES, distortion, Stream.test_distortion)
            figures.draw_warps(
                self.folder.figures / f"warps-{name.replace(' ', '-')}.png",
                f"{self.title()}\ntest {self.spec.examples} under {name}, before (above) and after "
                "the warp",
                self._shown(inputs),
                self._shown(transformer(inputs).views),
            )

    @torch.no_grad()
    def _draw_film_strips(self, network: Network) -> None:
        """The first test examples under one distortion at a time, as it grows."""
        transformer = network.transformer
        if not isinstance(transformer, SpatialTransformer):
            return
        network.eval().to("cpu", torch.float32)
        test = self.parts.test.to(torch.device("cpu"))
        images = test.images[test.members[:_NUM_STRIPS, 0]]
        height, width = self.spec.size
        for factor, (unit, amounts) in _STRIPS.items():
            columns = []
            for amount in amounts:
                still = {"angle": 0.0, "shift": 0.0, "scale": 1.0} | {factor: amount}
                num = (len(images),)
                theta = similarity_theta(
                    torch.full(num, still["angle"]),
                    torch.full((*num, 2), still["shift"]),
                    torch.full(num, still["scale"]),
                    aspect=width / height,
                )
                inputs = normalise(distort(images, theta), self.parts.mean, self.parts.std)
                columns.append(self._frames(network, transformer, inputs, test.targets))
            names = [f"{{:{unit}".format(amount).replace("-", "−") for amount in amounts]
            self._draw_film_strip(factor, names, columns)
        self._draw_film_strip_of_epochs(network, transformer)

    def _draw_film_strip_of_epochs(self, network: Network, transformer: SpatialTransformer) -> None:
        """The first distorted test examples at epochs evenly apart, where weights are kept."""
        kept = self.folder.kept_epochs()
        if not kept:
            return
        places = torch.linspace(0, len(kept) - 1, min(len(kept), _MOST_EPOCHS)).round().int()
        epochs = [kept[place] for place in places.tolist()]
        test = self.parts.test.to(torch.device("cpu"))
        inputs = self._distorted(test, _NUM_STRIPS, self.distortion, Stream.test_distortion)
        last, columns = copy.deepcopy(network.state_dict()), []
        for epoch in epochs:
            network.load_state_dict(load_epoch(self.folder.epoch_checkpoint(epoch)))
            columns.append(self._frames(network, transformer, inputs, test.targets))
        network.load_state_dict(last)
        self._draw_film_strip("epoch", [f"epoch {epoch}" for epoch in epochs], columns)

    def _draw_film_strip(
        self, kind: str, names: Sequence[str], columns: Sequence[Sequence[Frame]]
    ) -> None:
        figure = film_strip(
            f"{self.title()}: what is read of test {self.spec.examples}, and as what",
            names,
            list(zip(*columns, strict=True)),
        )
        path = self.folder.figures / f"film-strip-{kind}.png"
        save(figure, path)
        self.shown[f"{self.spec.examples}/film strip, {kind}"] = path

    def _frames(
        self,
        network: Network,
        transformer: SpatialTransformer,
        inputs: torch.Tensor,
        targets: torch.Tensor,
    ) -> list[Frame]:
        logits, theta = network.predict(inputs)
        assert theta is not None
        views = transformer(inputs).views
        size, aligned = transformer.view_size, transformer.align_corners
        grids = transformer.warp.grid(theta[:, 0], size, aligned)
        if aligned:  # to -1 and 1 at the input's edges
            height, width = self.spec.size
            grids = grids * grids.new_tensor([(width - 1) / width, (height - 1) / height])
        return [
            Frame(
                pixels=as_picture(self._shown(inputs)[place]),
                view=as_picture(self._shown(views)[place, 0]),
                outline=outline_of(grids[place]),
                num_top=size[1],
                label=self.spec.class_name(int(found)),
                is_right=bool(found == targets[place]),
            )
            for place, found in enumerate(logits.argmax(dim=1))
        ]

    def _shown(self, inputs: torch.Tensor) -> torch.Tensor:
        """Normalised inputs or views (..., C, h, w) as pixels in [0, 1]."""
        return to_pixels(inputs, self.parts.mean, self.parts.std)

    def add_panel(self, network: Network, writer: SummaryWriter, step: int) -> None:
        like = next(network.parameters())  # its device, and its precision
        inputs = self._panel_inputs.to(like)
        assert network.transformer is not None
        views = network.transformer(inputs).views.float().cpu()
        labels = network.predict(inputs)[0].argmax(dim=1).tolist()
        times = max(1, _PANEL_HEIGHT // self.spec.size[0])
        panel = labelled_panel(
            self._shown(self._panel_inputs),
            self._shown(views),
            _PANEL_EXAMPLES_A_ROW,
            [
                self.spec.class_name(target)
                + ("" if label == target else f", read as {self.spec.class_name(label)}")
                for label, target in zip(labels, self._panel_targets, strict=True)
            ],
            times,
        )
        name = f"{self.spec.examples}/before above, after below"
        writer.add_image(name, panel, step, dataformats="HW" if panel.ndim == 2 else "HWC")

    def add_warps(
        self, transformer: Transformer, theta: torch.Tensor, writer: SummaryWriter, step: int
    ) -> None:
        if not isinstance(transformer, SpatialTransformer):
            return
        views = [self._taken_back(transformer, each) for each in theta.unbind(1)]
        for view, motion in enumerate(views):
            prefix = "warp" if len(views) == 1 else f"warp of view {view}"
            for kind, values in motion._asdict().items():
                writer.add_histogram(f"{prefix}/{kind}, {recovery.UNITS[kind]}", values, step)
        if self.spec.num_objects > 1 or len(views) > 1 or self._val_applied is None:
            return
        for kind, unit in recovery.UNITS.items():
            found = recovery.between(kind, self._val_applied, views[0])
            if found is not None:
                writer.add_scalar(f"recovered/{kind}, left, {unit}", found.left, step)
                if found.slope is not None:
                    writer.add_scalar(f"recovered/{kind}, slope", found.slope, step)

    @cached_property
    def _val_applied(self) -> recovery.Motion | None:
        """What was done to the validation part, which is the same in every epoch."""
        affine = self._applied(self.val_batches())
        return None if affine is None else recovery.applied(affine)
