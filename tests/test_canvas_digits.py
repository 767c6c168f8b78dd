"""Digits on a canvas: what is read, what a run on them leaves, and black around an image."""

import csv
import json

import pytest
import torch
from rich.console import Console

from stnlab import load
from stnlab.config import CONF_DIR, compose
from stnlab.data import mnist
from stnlab.data.image_batches import normalise, to_pixels
from stnlab.evaluation.robustness import settings
from stnlab.layers.network import build_network
from stnlab.parts import ImageDataset
from stnlab.run.images import ImageExperiment
from stnlab.run.run import train

DATASETS = sorted(path.stem for path in (CONF_DIR / "dataset").glob("jaderberg-*.yaml"))
SIDES = {"jaderberg-rts": 42, "jaderberg-tc": 60}


def dataset(name, *overrides):
    return compose([f"dataset={name}", *overrides]).dataset


@pytest.mark.parametrize("name", DATASETS)
def test_the_size_follows_from_the_canvas(name):
    spec, side = dataset(name).spec(), SIDES.get(name, 28)
    assert (spec.channels, spec.size, spec.num_classes) == (1, (side, side), 10)


def test_pairs_may_lie_on_canvases_too():
    spec = dataset("jaderberg-rts", "dataset.layout=same_image").spec()
    assert (spec.size, spec.object_size) == ((42, 84), (42, 42))
    spec = dataset("jaderberg-rts", "dataset.layout=two_channel").spec()
    assert (spec.channels, spec.size, spec.objects_have_channels) == (2, (42, 42), True)


def test_a_digit_lies_in_the_middle_of_black():
    """Split, order and labels are those of the datasets without a canvas."""
    parts, plain = dataset("jaderberg-rts").load(), dataset("rot90").load()
    for name in ("train", "val", "test"):
        on_canvas, digits = getattr(parts, name), getattr(plain, name)
        assert torch.equal(on_canvas.members, digits.members)
        assert torch.equal(on_canvas.targets, digits.targets)
        assert on_canvas.images.shape[1:] == (1, 42, 42)
        few = on_canvas.images[:500]
        assert torch.equal(few[..., 7:35, 7:35], digits.images[:500])
        assert few.sum() == digits.images[:500].sum()
    assert parts.val.images is parts.train.images  # in memory once


@pytest.mark.parametrize("name", DATASETS)
def test_clean_digits_and_distorted_ones(name, tmp_path):
    """And the test's distortions are the same for every seed of a run."""

    def shown(*overrides):
        config = compose(
            [f"dataset={name}", f"output_dir={tmp_path}", "dataset.val_size=64", *overrides]
        )
        batches = ImageExperiment(config, None).test_batches()
        return [next(iter(each))[0] for each in batches]

    clean, distorted = shown()
    side = SIDES.get(name, 28)
    digits = mnist.load().test_images[: len(clean), None]
    margin = (side - 28) // 2
    middle = clean[..., margin : margin + 28, margin : margin + 28]
    torch.testing.assert_close(to_pixels(middle, (mnist.MEAN,), (mnist.STD,)) * 255, digits.float())
    assert clean.min() == pytest.approx(-mnist.MEAN / mnist.STD, abs=1e-6)
    assert not torch.allclose(clean, distorted)
    assert torch.equal(shown("seed=3")[1], distorted)


def test_other_datasets_curves_are_what_they_were():
    assert ImageDataset.factors == ("rotation", "translation", "scale")
    assert len(settings(dataset("rot90").factors)) == 20
    assert len(settings(dataset("jaderberg-r").factors)) == 30


# --- black


def test_black_is_what_a_pixel_of_0_is():
    config = compose(["dataset=jaderberg-rts", "model=stn", "padding=black"])
    value = build_network(config).transformer.padding_value
    black = normalise(torch.zeros(1, 1, 1, 1), (mnist.MEAN,), (mnist.STD,))
    assert value.item() == pytest.approx(black.item(), abs=1e-6)
    assert value.item() == pytest.approx(-0.4242, abs=1e-4)


def test_a_shrunken_digit_on_black_has_no_frame():
    """A view from twice as far is black around the digit, and grey with zeros."""
    digits = normalise(mnist.load().test_images[:8, None].float(), (mnist.MEAN,), (mnist.STD,))
    theta = torch.tensor([2.0, 0, 0, 0, 2, 0])
    for padding, border in (("black", -0.4242), ("zeros", 0)):
        transformer = build_network(compose(["model=stn", f"padding={padding}"])).transformer
        transformer.localization.theta.bias.data = theta
        views = transformer(digits).views
        assert views[..., 0, :].detach().numpy() == pytest.approx(border, abs=1e-4)


def test_each_channel_of_two_digits_has_its_black():
    config = compose(["dataset=two-channel", "model=multi-stn", "padding=black"])
    transformer = build_network(config).transformer
    assert transformer.padding_value.flatten().tolist() == pytest.approx([-0.4242] * 2, abs=1e-4)
    transformer.padding_value[1] = 5
    transformer.localization.theta.bias.data = torch.tensor([1.0, 0, 9, 0, 1, 0])  # far outside
    views = transformer(torch.zeros(3, 2, 28, 28)).views
    assert views[:, 0].detach().numpy() == pytest.approx(-0.4242, abs=1e-4)
    assert views[:, 1].detach().numpy() == pytest.approx(5)


# --- a run


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    config = compose(
        [
            *("dataset=jaderberg-rts", "model=stn", "padding=black", "trainer.accelerator=cpu"),
            *("trainer.max_epochs=1", "trainer.limit_train_batches=5"),
            *("trainer.limit_val_batches=1", "trainer.limit_test_batches=1"),
            f"output_dir={tmp_path_factory.mktemp('outputs')}",
        ]
    )
    return train(config, Console(quiet=True)).path


def test_a_run_has_the_factors_of_the_paper(run_folder):
    rows = list(csv.DictReader((run_folder / "robustness.csv").read_text().splitlines()))
    factors = ("rotation", "translation", "scale", "corner_sd", "point_sd")
    assert [(row["factor"], float(row["amount"])) for row in rows] == settings(factors)
    assert len({row["accuracy"] for row in rows if float(row["amount"]) == 0}) == 1
    shown = {path.stem for path in (run_folder / "figures").glob("warps-*.png")}
    assert shown == {
        *("warps-training-distortion", "warps-rotation-120", "warps-translation-0.2"),
        *("warps-scale-0.5", "warps-corner_sd-5", "warps-point_sd-1.5"),
    }
    assert run_folder.parent.name == "stn-identity-black"


def test_a_trained_network_knows_its_black_and_its_canvas(run_folder):
    """From its own folder alone; a digit's picture goes where the digits lay."""
    run = load(run_folder)
    assert run.network.transformer.padding_value.item() == pytest.approx(-0.4242, abs=1e-4)
    kept = json.loads((run_folder / "preprocessing.json").read_text())
    assert kept["spec"]["black"] == pytest.approx([-0.4242], abs=1e-4)
    assert kept["margin"] == 7
    digit = mnist.load().test_images[0]
    whole = torch.nn.functional.pad(digit, [7] * 4)
    for picture in (digit, whole):
        pixels = to_pixels(run.prepare(picture.numpy()), *run.mean_and_std)[0, 0]
        torch.testing.assert_close(255 * pixels, whole.float(), atol=0.01, rtol=0)
