"""The plain convolutional network."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omegaconf import MISSING

from stnlab.data.spec import DatasetSpec
from stnlab.parts import ModelPart, add_model
from stnlab.rules import MAX_WIDTH, require_blocks, require_count, require_probability

if TYPE_CHECKING:
    from stnlab.layers.classifier import ConvClassifier
    from stnlab.layers.network import Network
    from stnlab.schema import ExperimentConfig


@dataclass
class ClassifierKeys:
    """Convolutions, a hidden layer, the classes."""

    channels: list[int] = MISSING  # one number for each convolution
    kernel_size: int = MISSING
    hidden: int = MISSING
    dropout: float = MISSING
    kernel_sizes: list[int] | None = None  # one for each convolution; null: kernel_size for all

    def check(self, size: tuple[int, ...]) -> None:
        """Refuse what does not fit a view of ``size``."""
        name = "kernel_size" if self.kernel_sizes is None else "kernel_sizes"
        require_blocks(
            *("model.classifier.channels", self.channels),
            *(f"model.classifier.{name}", self._kernel_sizes),
            size,
        )
        require_count("model.classifier.hidden", self.hidden, MAX_WIDTH)
        require_probability("model.classifier.dropout", self.dropout)

    def build(
        self, channels: int, size: tuple[int, ...], num_views: int, num_classes: int
    ) -> "ConvClassifier":
        """The classifier of views (N, num_views, channels, *size)."""
        from stnlab.layers.classifier import ConvClassifier

        return ConvClassifier(
            *(self.channels, self._kernel_sizes, self.hidden, self.dropout),
            *(channels, size, num_views, num_classes),
        )

    @property
    def _kernel_sizes(self) -> list[int]:
        return self.kernel_sizes or [self.kernel_size] * len(self.channels)


@add_model("cnn")
@dataclass
class Cnn(ModelPart):
    """Convolutions, then fully connected layers. Source: SEED sections 4.1.2 and 5.2.2."""

    classifier: ClassifierKeys = field(default_factory=ClassifierKeys)

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        self.classifier.check(spec.size)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        from stnlab.layers.network import Network

        return Network(None, self.classifier.build(spec.channels, spec.size, 1, spec.num_classes))
