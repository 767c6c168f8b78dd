"""A run on digits."""

from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from stnlab.data.batches import BatchSource
from stnlab.data.digits import Batches, Examples, load_parts, ranges_of
from stnlab.data.distortion import Ranges
from stnlab.data.randomness import Stream
from stnlab.data.spec import DIGIT_SPECS, ImageSpec
from stnlab.evaluation import collapse, robustness, scores
from stnlab.files import write_atomically
from stnlab.folder import RunFolder
from stnlab.models import Network, Transformer
from stnlab.models.transformer import SpatialTransformer
from stnlab.report import figures
from stnlab.report.panels import warp_panel
from stnlab.run.experiment import Experiment, Predict
from stnlab.schema import DigitsConfig, ExperimentConfig, Layout
from stnlab.task import Predictions

_NUM_PANEL_EXAMPLES, _PANEL_EXAMPLES_A_ROW = 12, 6
_NUM_FIGURE_EXAMPLES = 32


class DigitExperiment(Experiment):
    """Digits, alone or in pairs: tested clean and distorted, with robustness curves if alone."""

    spec: ImageSpec

    def __init__(self, config: ExperimentConfig, folder: RunFolder) -> None:
        super().__init__(config, folder)
        assert isinstance(config.dataset, DigitsConfig)
        self.dataset = config.dataset
        self.spec = DIGIT_SPECS[config.dataset.layout]
        self.ranges = ranges_of(config.distortion)
        self.parts = load_parts(config.dataset)
        self._panel_inputs = self._distorted(
            self.parts.val if self.has_validation else self.parts.train,
            _NUM_PANEL_EXAMPLES,
            self.ranges,
            Stream.val_distortion,
        )

    @property
    def has_validation(self) -> bool:
        return self.dataset.val_size > 0

    @property
    def data(self) -> dict[str, Any]:
        return {"name": "MNIST", "sha256": self.parts.sha256}

    def place_on(self, device: torch.device) -> None:
        self.parts = self.parts.to(device)

    # --- batches

    def train_batches(self) -> Batches:
        return self._batches(
            self.parts.train,
            self.dataset.batch_size,
            self.ranges,
            distortion_key=(self.config.seed,),
            order_key=(self.config.seed,),
            limit=self.config.trainer.limit_train_batches,
        )

    def val_batches(self) -> Batches:
        key = (self.dataset.seed, Stream.val_distortion)
        return self._batches(self.parts.val, self.TEST_BATCH_SIZE, self.ranges, distortion_key=key)

    def test_batches(self) -> list[BatchSource]:
        return list(self._test_parts().values())

    def _test_parts(self) -> dict[str, BatchSource]:
        return {"clean": self._test(Ranges()), "distorted": self._test(self.ranges)}

    def _test(self, ranges: Ranges) -> Batches:
        key = (self.dataset.seed, Stream.test_distortion)
        return self._batches(self.parts.test, self.TEST_BATCH_SIZE, ranges, distortion_key=key)

    def _batches(self, examples: Examples, batch_size: int, ranges: Ranges, **keys: Any) -> Batches:
        return Batches(
            examples,
            self.dataset.layout,
            batch_size=batch_size,
            ranges=ranges,
            backend=self.config.distortion.backend,
            **keys,
        )

    def _distorted(
        self, source: Examples, number: int, ranges: Ranges, stream: Stream
    ) -> torch.Tensor:
        """The first inputs of a part, (number, C, H, W), under some distortion."""
        examples = Examples(source.images, source.members[:number], source.targets[:number])
        key = (self.dataset.seed, stream)
        batches = self._batches(examples, number, ranges, distortion_key=key)
        return next(iter(batches))[0]

    # --- what came out

    def test_scores(self, predictions: list[Predictions]) -> dict[str, Any]:
        return {
            part: scores.scores(self.spec.task, found.logits, found.targets)
            for part, found in zip(self._test_parts(), predictions, strict=True)
        }

    def diagnosis(
        self, network: Network, test: dict[str, Any], predictions: list[Predictions]
    ) -> dict[str, Any]:
        clean, transformer, seen = predictions[0], network.transformer, []
        if isinstance(transformer, SpatialTransformer) and clean.theta is not None:
            seen = collapse.views(
                clean.theta, self.spec.size, transformer.view_size, transformer.align_corners
            )
        reason = collapse.collapse_reason(test["clean"], clean.targets, seen)
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
    ) -> None:
        self._draw_warps(network)
        if self.dataset.layout is Layout.single:
            self._measure_robustness(predict)

    def _measure_robustness(self, predict: Predict) -> None:
        settings = robustness.settings()
        found = predict([self._test(Ranges(**{factor: amount})) for factor, amount in settings])
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
        figures.draw_robustness(
            self.folder.figures / "robustness.png", f"{self.title()}: robustness", points
        )

    @torch.no_grad()
    def _draw_warps(self, network: Network) -> None:
        """Originals beside transformed at the distortions of SEED's figures."""
        transformer = network.transformer
        if transformer is None:
            return
        transformer.eval().to("cpu", torch.float32)
        test = self.parts.test.to(torch.device("cpu"))
        shown = {"training distortion": self.ranges}
        if self.dataset.layout is Layout.single:
            shown |= {
                f"{factor} {amount:g}": Ranges(**{factor: amount})
                for factor, amount in robustness.FIGURE_AMOUNTS.items()
            }
        for name, ranges in shown.items():
            inputs = self._distorted(test, _NUM_FIGURE_EXAMPLES, ranges, Stream.test_distortion)
            figures.draw_warps(
                self.folder.figures / f"warps-{name.replace(' ', '-')}.png",
                f"{self.title()}\ntest digits under {name}, before (above) and after the warp",
                inputs,
                transformer(inputs).views,
            )

    def add_panel(self, transformer: Transformer, writer: SummaryWriter, step: int) -> None:
        like = next(transformer.parameters())  # its device, and its precision
        views = transformer(self._panel_inputs.to(like)).views.float().cpu()
        panel = warp_panel(self._panel_inputs, views, _PANEL_EXAMPLES_A_ROW)
        enlarged = panel.repeat_interleave(3, dim=0).repeat_interleave(3, dim=1)
        writer.add_image("digits/before above, after below", enlarged, step, dataformats="HW")
