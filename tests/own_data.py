"""Small data of a user's own, in every layout: bars, corners and slopes; three kinds of waves."""

import csv
import gzip

import numpy as np
from PIL import Image

SHAPES = ("bar", "corner", "slope")
WAVES = ("sine", "square", "saw")


def pictures(labels, height, width, channels=1, seed=0):
    """uint8 images (N, height, width, channels), of class 0, 1 or 2."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (len(labels), height, width, channels), dtype=np.uint8)
    side = min(height, width) // 3
    for image, label in zip(images, labels, strict=True):
        top, left = rng.integers(1, height - side - 1), rng.integers(1, width - side - 1)
        spot = image[top : top + side, left : left + side]
        if label == 0:
            spot[:] = 220
        elif label == 1:
            spot[:2] = spot[:, :2] = 220
        else:
            spot[np.eye(side, dtype=bool)] = 220
    return images


def write_tree(folder, number, height, width, channels=1, classes=SHAPES, seed=0, ending="png"):
    """A folder for each class, with so many images each."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        images = pictures([label] * number, height, width, channels, seed=seed + label)
        for place, image in enumerate(images):
            pixels = image[..., 0] if channels == 1 else image
            Image.fromarray(pixels).save(folder / name / f"{place:03}.{ending}")


def write_idx(path, values):
    header = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    with gzip.open(path, "wb") as file:
        file.write(header + values.tobytes())


def write_fashion(folder, num_train=100, num_test=40, size=(28, 28)):
    """IDX files under Fashion-MNIST's names, of ten classes."""
    folder.mkdir(parents=True)
    for part, number in (("train", num_train), ("t10k", num_test)):
        labels = (np.arange(number) % 10).astype(np.uint8)
        images = pictures(labels % 3, *size)[..., 0]
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)


def waves(labels, num_steps, channels=2, seed=0):
    """Series (N, channels, num_steps), of class 0, 1 or 2."""
    rng = np.random.default_rng(seed)
    at = np.arange(num_steps) + rng.integers(0, 25, (len(labels), 1))
    forms = np.stack([np.sin(at / 4), np.sign(np.sin(at / 4)), (at % 25) / 12 - 1])
    chosen = forms[labels, np.arange(len(labels))]
    noise = rng.normal(0, 0.1, (len(labels), channels, num_steps))
    return chosen[:, None] * (1 + 9 * np.arange(channels))[:, None] + noise


def write_ts(path, lengths, missing=False, channels=2):
    """A ``.ts`` file with a series of each length; classes take turns."""
    lines = ["# waves", "@problemName Waves", "@timeStamps false"]
    lines += [f"@classLabel true {' '.join(WAVES)}", "@data"]
    for place, length in enumerate(lengths):
        series = waves([place % 3], length, channels, seed=place)[0]
        words = [[f"{value:.3f}" for value in channel] for channel in series]
        if missing:
            words[0][3] = "?"
        lines.append(":".join([*(",".join(each) for each in words), WAVES[place % 3]]))
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_long_form(path, rows, columns=("id", "time", "variable", "value", "label")):
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def long_rows(number, num_steps, step=0.5):
    """Rows of so many series of two variables."""
    for place in range(number):
        series = waves([place % 3], num_steps, seed=place)[0]
        for variable, values in zip(("flow", "pressure"), series, strict=True):
            for at, value in enumerate(values):
                yield f"s{place}", at * step, variable, round(value, 3), WAVES[place % 3]
