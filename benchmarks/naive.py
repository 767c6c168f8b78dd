"""The pipeline that a good user would write in an afternoon, as the reference to compare with.

PIL transforms in a DataLoader, PyTorch's own layers, a plain loop. It shares no code with the
package, only its sizes.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

MEAN, STD = 0.1307, 0.3081


class Digits(Dataset[tuple[Tensor, int]]):
    """Examples of one or two digits, distorted by torchvision's PIL transforms when read."""

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        members: Tensor,
        layout: str,
        amounts: tuple[float, float, float],
    ) -> None:
        rotation, translation, scale = amounts
        self.images, self.labels, self.members = images, labels, members
        self.layout = layout
        self.transform = transforms.Compose(
            [
                transforms.RandomAffine(
                    degrees=rotation,
                    translate=(translation, translation),
                    scale=(1 - scale, 1 + scale),
                    interpolation=transforms.InterpolationMode.BILINEAR,
                ),
                transforms.ToTensor(),
                transforms.Normalize((MEAN,), (STD,)),
            ]
        )

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        members = self.members[index].tolist()
        digits = [self.transform(Image.fromarray(self.images[m].numpy())) for m in members]
        image = torch.cat(digits, dim=2 if self.layout == "same_image" else 0)
        return image, sum(int(self.labels[member]) for member in members)


class Cnn(nn.Module):
    """The plain CNN; also the classifier behind the transformers."""

    def __init__(self, channels: int, second: int, flat: int, num_classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, 10, 5), nn.Conv2d(10, second, 5)
        self.drop = nn.Dropout2d()
        self.fc1, self.fc2 = nn.Linear(flat, 50), nn.Linear(50, num_classes)

    def features(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        return F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def head(self, features: Tensor) -> Tensor:
        x = F.dropout(F.relu(self.fc1(features)), training=self.training)
        return self.fc2(x)


class Stn(nn.Module):
    """One or two warps, then the CNN."""

    def __init__(self, layout: str, num_classes: int) -> None:
        super().__init__()
        self.layout = layout
        num_views = 1 if layout == "single" else 2
        wide = layout == "same_image"
        self.localization = nn.Sequential(
            nn.Conv2d(1, 8, 7), nn.MaxPool2d(2), nn.ReLU(),
            nn.Conv2d(8, 10, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(),
            nn.Linear(300 if wide else 90, 32), nn.ReLU(), nn.Linear(32, 12 if wide else 6),
        )  # fmt: skip
        identity = torch.tensor([1.0, 0, 0, 0, 1, 0])
        nn.init.zeros_(self.localization[-1].weight)
        self.localization[-1].bias.data.copy_(identity.repeat(2) if wide else identity)
        self.cnn = Cnn(1, 20, 320 * num_views, num_classes)

    def warp(self, x: Tensor, theta: Tensor) -> Tensor:
        grid = F.affine_grid(theta.view(-1, 2, 3), [len(x), 1, 28, 28], align_corners=True)
        return F.grid_sample(x, grid, align_corners=True)

    def forward(self, x: Tensor) -> Tensor:
        if self.layout == "single":
            views = [self.warp(x, self.localization(x))]
        elif self.layout == "two_channel":
            views = [
                self.warp(channel, self.localization(channel)) for channel in x.split(1, dim=1)
            ]
        else:
            views = [self.warp(x, theta) for theta in self.localization(x).split(6, dim=1)]
        return self.cnn.head(torch.cat([self.cnn.features(view) for view in views], dim=1))


def build(layout: str, model: str, num_classes: int) -> nn.Module:
    """The network for a layout; ``model`` is "cnn" or one with a transformer."""
    if model == "cnn":
        flat = 25 * (4 * 11 if layout == "same_image" else 4 * 4)
        return Cnn(2 if layout == "two_channel" else 1, 25, flat, num_classes)
    return Stn(layout, num_classes)


def steps(dataset: Digits, network: nn.Module, workers: int) -> Iterator[None]:
    """Training steps without end, one for each item."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    loader = DataLoader(
        dataset, batch_size=64, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    while True:
        for images, targets in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(images), targets).backward()
            optimizer.step()
            yield
