"""A run's figures of images, and how they are laid out."""

import numpy as np
import torch
from PIL import Image

from stnlab.report.figures import draw_mistakes
from stnlab.report.panels import draw_rows, labelled_panel, warp_panel


def test_labels_stand_below_their_examples_and_nothing_else_changes():
    inputs, views = torch.rand(5, 1, 6, 6), torch.rand(5, 1, 1, 4, 4)
    bare = labelled_panel(inputs, views, 3, [""] * 5, times=2)
    row = warp_panel(inputs[:3], views[:3], 3).repeat_interleave(2, 0).repeat_interleave(2, 1)
    height, width = row.shape
    np.testing.assert_array_equal(bare[:height], (255 * row).round().byte().numpy())
    labelled = labelled_panel(inputs, views, 3, ["", "", "", "", "7"], times=2)
    changed = np.argwhere(labelled != bare)
    assert changed[:, 0].min() >= 2 * height + 18  # below the second row
    middle = (width + 4) / 3 * 1.5 - 2  # of the second column
    assert abs(changed[:, 1].mean() - middle) < 3


def test_colours_are_kept():
    panel = labelled_panel(torch.ones(1, 3, 6, 6), torch.zeros(1, 1, 3, 6, 6), 1, ["a"], times=1)
    assert panel.shape == (6 + 1 + 6 + 18, 6, 3)


def test_rows_are_drawn_pixel_by_pixel(tmp_path):
    row = np.random.default_rng(0).integers(0, 256, (9, 40), dtype=np.uint8)
    draw_rows(tmp_path / "figures" / "rows.png", [("one", row), ("other", 255 - row)])
    with Image.open(tmp_path / "figures" / "rows.png") as image:
        pixels = np.asarray(image)
    np.testing.assert_array_equal(pixels[18:27], row)
    np.testing.assert_array_equal(pixels[-13:-4], 255 - row)


def test_a_single_mistake_and_many(tmp_path):
    for number in (1, 9):
        path = tmp_path / f"{number}.png"
        draw_mistakes(
            path, "$ title", [np.zeros((6, 12), np.float32)] * number, ["$1 → 2"] * number
        )
        with Image.open(path) as image:
            assert (np.asarray(image.convert("L")) < 50).mean() > 0.07
