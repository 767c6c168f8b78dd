"""dataset=images: a user's own images in every layout, and what is said of those that are wrong."""

import csv
import json
import os
import shutil
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from own_data import SHAPES, pictures, write_fashion, write_idx, write_tree
from PIL import Image
from short_run import DRAWN, SHORT

from stnlab.config import compose
from stnlab.data.checksum import of_files
from stnlab.data.labels import in_order, quotas, split
from stnlab.errors import UserError
from stnlab.layers.network import build_network
from stnlab.run.run import train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with the data in every layout."""
    root = tmp_path_factory.mktemp("images")
    write_tree(root / "parts" / "train", 12, 32, 32, 3)
    write_tree(root / "parts" / "test", 5, 32, 32, 3, seed=10)
    write_tree(root / "tree", 20, 24, 40)
    write_fashion(root / "fashion")
    labels = np.arange(30) % 3
    (root / "npz").mkdir()
    np.savez_compressed(
        root / "npz" / "all.npz", x=pictures(labels, 32, 32, 3), y=labels, classes=SHAPES
    )
    return root


def images(root, *overrides):
    return compose(["dataset=images", f"dataset.root={root}", *overrides]).dataset


@pytest.fixture
def broken(data, tmp_path):
    """A copy of the folders with train/ and test/, to be spoilt."""
    shutil.copytree(data / "parts", tmp_path / "parts")
    return tmp_path / "parts"


# --- what is read


@pytest.mark.parametrize(
    ("layout", "channels", "size", "classes", "numbers"),
    [
        ("parts", 3, (32, 32), SHAPES, (32, 4, 15)),
        ("tree", 1, (24, 40), SHAPES, (43, 5, 12)),
        ("fashion", 1, (28, 28), tuple("0123456789"), (90, 10, 40)),
        ("npz", 3, (32, 32), SHAPES, (22, 2, 6)),
    ],
)
def test_each_layout_is_recognised(data, layout, channels, size, classes, numbers):
    dataset = images(data / layout)
    spec, parts = dataset.spec(), dataset.load()
    assert (spec.channels, spec.size, spec.classes) == (channels, size, classes)
    assert (len(parts.train), len(parts.val), len(parts.test)) == numbers
    assert parts.train.images.dtype == torch.uint8
    assert parts.train.images.shape[1:] == (channels, *size)
    assert dataset.checksums() == {"sha256": parts.sha256}


def test_an_image_keeps_its_pixels_its_class_and_its_name(data):
    parts = images(data / "parts").load()
    assert len(set(parts.test_names)) == 15
    for (member,), target, name in zip(
        parts.test.members, parts.test.targets, parts.test_names, strict=True
    ):
        assert SHAPES[target] == name.split("/")[0]
        with Image.open(data / "parts" / "test" / name) as image:
            expected = np.asarray(image).transpose(2, 0, 1)
        assert np.array_equal(parts.test.images[member], expected)


@pytest.mark.parametrize("place", [".", "FashionMNIST"])
def test_idx_files_are_found_where_torchvision_puts_them(tmp_path, place):
    write_fashion(tmp_path / "FashionMNIST" / "raw")
    assert len(images(tmp_path / place).load().train) == 90


def test_idx_and_npz_hold_what_was_written(data):
    for layout, written in (
        ("fashion", pictures(np.arange(100) % 10 % 3, 28, 28)),
        ("npz", pictures(np.arange(30) % 3, 32, 32, 3)),
    ):
        parts = images(data / layout).load()
        assert np.array_equal(parts.train.images, written.transpose(0, 3, 1, 2))


def test_parts_are_held_out_in_proportion_by_the_datas_seed_alone(data):
    one, same, other = (
        images(data / "tree", *extra).load()
        for extra in (["seed=0"], ["seed=5"], ["dataset.seed=1"])
    )
    assert torch.equal(one.test.members, same.test.members)
    assert not torch.equal(one.test.members, other.test.members)
    assert one.test.targets.bincount().tolist() == [4, 4, 4]
    seen = torch.cat([getattr(one, part).members[:, 0] for part in ("train", "val", "test")])
    assert sorted(seen.tolist()) == list(range(60))


def test_a_count_and_a_share_are_told_apart(data):
    parts = images(data / "tree", "dataset.val_size=7", "dataset.test_size=0.5").load()
    assert (len(parts.train), len(parts.val), len(parts.test)) == (23, 7, 30)
    assert len(images(data / "tree", "dataset.val_size=0").load().val) == 0


def test_unequal_classes_are_held_out_in_proportion_and_never_whole():
    labels = {"train": np.array([0] * 90 + [1] * 9 + [2])}
    assert {part: each.tolist() for part, each in quotas(labels, 10, 20).items()} == {
        "test": [18, 2, 0],
        "val": [9, 1, 0],
    }
    parts = split(labels, 0.1, 0.2, seed=0)
    assert set(labels["train"][parts["train"][1]]) == {0, 1, 2}


@pytest.mark.parametrize(
    "expected", [("9", "10"), ("01", "1", "1.0", "2"), ("10", "2", "nan"), ("10", "9", "a")]
)
def test_classes_have_one_order(expected):
    assert {in_order(names) for names in permutations(expected)} == {expected}


def test_a_validation_folder_of_its_own_is_used(broken):
    write_tree(broken / "val", 2, 32, 32, 3, seed=20)
    parts = images(broken).load()
    assert (len(parts.train), len(parts.val), len(parts.test)) == (36, 6, 15)
    with pytest.raises(UserError, match=r"dataset.val_size is 5; allowed: null. The data has a"):
        images(broken, "dataset.val_size=5")


def test_mean_and_deviation_are_the_training_parts_by_channel(data):
    parts = images(data / "parts").load()
    seen = parts.train.images[parts.train.members[:, 0]].double() / 255
    assert parts.mean == pytest.approx(seen.mean(dim=(0, 2, 3)).tolist())
    assert parts.std == pytest.approx(seen.std(dim=(0, 2, 3), correction=0).tolist())


def test_black_is_a_pixel_of_0_after_that(data):
    config = compose(
        ["dataset=images", f"dataset.root={data / 'parts'}", "model=stn", "padding=black"]
    )
    parts = config.dataset.load()
    expected = [-mean / std for mean, std in zip(parts.mean, parts.std, strict=True)]
    found = build_network(config).transformer.padding_value
    assert found.shape == (3, 1, 1)
    assert found.flatten().tolist() == pytest.approx(expected)


def test_images_are_resized_and_their_colours_changed_where_asked(data):
    dataset = images(data / "parts", "dataset.size=[28,36]", "dataset.color=grey")
    assert (dataset.spec().channels, dataset.spec().size) == (1, (28, 36))
    parts = dataset.load()
    with Image.open(data / "parts" / "test" / parts.test_names[0]) as image:
        expected = image.convert("L").resize((36, 28), Image.Resampling.BILINEAR)
    first = parts.test.images[parts.test.members[0, 0], 0]
    assert np.array_equal(first, np.asarray(expected))
    assert images(data / "fashion", "dataset.color=rgb").load().train.images.shape[1] == 3


def test_keras_and_medmnists_names_of_arrays_are_known(tmp_path):
    x, y = pictures(np.arange(12) % 3, 28, 28)[..., 0], np.arange(12) % 3
    np.savez(tmp_path / "keras.npz", x_train=x, y_train=y, x_test=x[:6], y_test=y[:6])
    of_parts = {
        f"{part}_{what}": values
        for part in ("train", "val", "test")
        for what, values in (("images", x), ("labels", y[:, None]))
    }
    np.savez(tmp_path / "med.npz", **of_parts)
    parts = images(tmp_path / "keras.npz").load()
    assert (len(parts.train), len(parts.val), len(parts.test)) == (11, 1, 6)
    parts = images(tmp_path / "med.npz").load()
    assert (len(parts.train), len(parts.val), len(parts.test)) == (12, 12, 12)


def test_palettes_and_opaque_alpha_are_colours_and_a_phones_picture_is_turned(broken):
    folder = broken / "train" / "bar"
    with Image.open(folder / "000.png") as image:
        image.quantize(8).save(folder / "000.png")
        image.convert("RGBA").save(folder / "001.png")
        exif = Image.Exif()
        exif[0x0112] = 6  # stored lying on its side
        image.rotate(90).save(folder / "002.png", exif=exif)
        upright = np.asarray(image)
    parts = images(broken, "dataset.val_size=0").load()
    read = parts.train.images[1].numpy()
    assert np.array_equal(read, upright.transpose(2, 0, 1))
    assert np.array_equal(parts.train.images[2].numpy(), read)


def test_hidden_files_and_a_systems_own_play_no_part(data, broken):
    before = images(data / "parts").load()
    for name in (".DS_Store", "train/.DS_Store", "train/bar/._000.png", "train/bar/Thumbs.db"):
        (broken / name).write_bytes(b"no image")
    assert torch.equal(images(broken).load().train.images, before.train.images)


def test_numbers_follow_names_and_not_the_file_system(data, tmp_path):
    for folder in sorted((data / "tree").iterdir(), reverse=True):
        (tmp_path / folder.name).mkdir()
        for file in sorted(folder.iterdir(), reverse=True):
            shutil.copy(file, tmp_path / folder.name)
    one, other = images(data / "tree").load(), images(tmp_path).load()
    assert torch.equal(one.train.images, other.train.images)
    assert torch.equal(one.train.members, other.train.members)
    assert one.sha256 == other.sha256


def test_a_changed_image_is_other_data(broken):
    dataset = images(broken)
    before = dataset.checksums()
    with Image.open(broken / "train" / "bar" / "000.png") as image:
        image.rotate(180).save(broken / "train" / "bar" / "000.png")
    assert dataset.checksums() != before


def test_a_checksum_is_of_names_and_contents(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text("x")
    one, other = ([tmp_path / name] for name in ("a", "b"))
    assert of_files(tmp_path, one) != of_files(tmp_path, other)


# --- what is refused


def spoil_nothing(root):
    """What the keys alone make wrong."""


def remove_all(root):
    shutil.rmtree(root / "train")
    shutil.rmtree(root / "test")


def empty_a_class(root):
    for file in (root / "train" / "bar").iterdir():
        file.unlink()


def misname_a_test_class(root):
    (root / "test" / "bar").rename(root / "test" / "bars")


def misname(path):
    path.rename(os.fsdecode(os.fsencode(path.parent) + b"/caf\xe9.png"))


def misname_a_file(root):
    misname(root / "test" / "bar" / "000.png")


def misname_a_folder(root):
    misname(root / "train" / "bar")


def nest(root):
    (root / "train" / "bar" / "more").mkdir()


def put_a_text(root):
    (root / "train" / "bar" / "notes.txt").write_text("x")


def put_beside(root):
    (root / "train" / "stray.png").write_bytes(b"x")


def cut(root):
    file = root / "train" / "corner" / "003.png"
    file.write_bytes(file.read_bytes()[:200])


def no_image(root):
    (root / "train" / "corner" / "003.png").write_bytes(b"not an image")


def another_size(root):
    Image.new("RGB", (30, 33)).save(root / "train" / "corner" / "003.png")


def another_colour(root):
    Image.new("L", (32, 32)).save(root / "train" / "corner" / "003.png")


def transparent(root):
    Image.new("RGBA", (32, 32), (9, 9, 9, 100)).save(root / "train" / "corner" / "003.png")


def sixteen_bits(root):
    Image.fromarray(np.zeros((32, 32), np.uint16)).save(root / "train" / "corner" / "003.png")


def one_class(root):
    for part in ("train", "test"):
        for name in ("corner", "slope"):
            shutil.rmtree(root / part / name)


def no_training(root):
    shutil.rmtree(root / "train")


def an_archive_too(root):
    np.savez(root / "all.npz", x=np.zeros((2, 8, 8), np.uint8), y=[0, 1])


@pytest.mark.parametrize(
    ("spoil", "overrides", "message"),
    [
        (remove_all, [], "parts holds nothing that is read as images. Allowed: train/ and test/"),
        (empty_a_class, [], "train/bar is empty: a class has one image or more"),
        (misname_a_test_class, [], "the test part has the class 'bars', which the training part"),
        (misname_a_file, [], r"test/bar/caf\?.png has a name that is not UTF-8 .* Rename it"),
        (misname_a_folder, [], r"train/caf\?.png has a name that is not UTF-8 text"),
        (nest, [], "train/bar/more is a folder inside of a class"),
        (put_a_text, [], "notes.txt is no image that is read; allowed: .png, .jpg"),
        (put_beside, [], "stray.png lies outside of any class"),
        (cut, [], "corner/003.png cannot be read as an image"),
        (no_image, [], "corner/003.png cannot be read as an image"),
        (another_size, [], "003.png is 33x30 pixels .* the first, 32x32. Set dataset.size=.32,32."),
        (another_colour, [], "003.png is grey, and .*000.png, the first, in colour. Set dataset.c"),
        (transparent, [], "003.png has transparent pixels"),
        (sixteen_bits, [], "003.png has more than 8 bits a channel"),
        (one_class, [], "there is one class alone, 'bar'; allowed: 2 or more"),
        (no_training, [], "has a folder test/, but no train/"),
        (an_archive_too, [], "holds folders of images and NumPy archives. Leave one of them"),
        (spoil_nothing, ["dataset.test_size=3"], "dataset.test_size is 3; allowed: null"),
        (spoil_nothing, ["dataset.val_size=34"], "val_size is 34 of 36 examples; allowed: what l"),
        (spoil_nothing, ["dataset.val_size=1.0"], "dataset.val_size is 1.0; allowed: a count"),
        (spoil_nothing, ["dataset.val_size=-1"], "dataset.val_size is -1; allowed: a count of 0"),
        (spoil_nothing, ["dataset.size=[32]"], r"dataset.size is \[32\]; allowed: null, or"),
        (spoil_nothing, ["dataset.size=[0,32]"], r"dataset.size is \[0, 32\]; allowed: null, or"),
        (spoil_nothing, ["dataset.size=[9,9]"], "that leave a pixel of an image of 9x9"),
        (spoil_nothing, ["dataset.color=red"], "dataset.color.*auto, grey, rgb"),
        (spoil_nothing, ["dataset.size=[60000,60000]"], "GiB are free. Set a smaller dataset.size"),
        (spoil_nothing, ["model=ts-stn"], "it reads series of time, and these are images"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(broken, spoil, overrides, message):
    spoil(broken)
    with pytest.raises(UserError, match=message) as raised:
        images(broken, *overrides).load()
    assert "\n" not in str(raised.value)


def test_a_root_must_be_named_and_readable(tmp_path):
    with pytest.raises(UserError, match=r"dataset.root has no value, .* It may hold train/ and te"):
        compose(["dataset=images"])
    with pytest.raises(UserError, match=r"dataset.root: .*nowhere cannot be read \(No such file"):
        images(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"notes.txt is a file; allowed: an .npz, or a folder"):
        images(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((4, 8, 8), np.uint8)}, "holds the arrays x; allowed: x, y; or x_train"),
        ({"x": np.zeros((4, 8, 8), np.uint8), "y": [0, 1]}, "has 4 examples, and 2 labels in 'y'"),
        ({"x": np.zeros((4, 8), np.uint8), "y": [0, 1, 0, 1]}, r"has the shape \(4, 8\); allowed"),
        ({"x": np.zeros((6, 32, 32)), "y": [0, 1] * 3}, "is of type float64; allowed: uint8"),
        (
            {"x": np.zeros((4, 8, 8), np.uint8), "y": np.array([None] * 4)},
            "holds Python objects in 'y', which are not read",
        ),
        (
            {"x": np.zeros((4, 8, 8), np.uint8), "y": [0, 1, 0, 2], "classes": ["a", "b"]},
            "training labels are not whole numbers of 0 to 1, for the 2 names in 'classes'",
        ),
        *(
            (
                {"x": np.zeros((4, 8, 8), np.uint8), "y": [0.0, 1.0, 0.0, label]},
                "type float64; allowed: one whole number or text for each",
            )
            for label in (0.5, np.inf, -np.inf, np.nan, 2.0**53, 1e300)
        ),
        (
            {"x": np.zeros((4, 8, 8), np.uint8), "y": [0, 1, 0, 1], "classes": "a"},
            "has one value alone in 'classes'; allowed: an array of names",
        ),
        *(
            (
                {"x": np.zeros((4, 8, 8), np.uint8), "y": [0] * 4, "classes": classes},
                "there is one class alone, 'a'; allowed: 2 or more",
            )
            for classes in (["a"], ["a", "b"])
        ),
    ],
)
def test_what_is_wrong_with_an_archive_is_said(tmp_path, arrays, message):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(UserError, match=message):
        images(tmp_path).load()


def test_a_damaged_archive_and_damaged_idx_files_are_named(data, tmp_path):
    whole = (data / "npz" / "all.npz").read_bytes()
    (tmp_path / "all.npz").write_bytes(whole[:-300])
    with pytest.raises(UserError, match=r"all.npz cannot be read as a NumPy archive"):
        images(tmp_path)
    folder = tmp_path / "fashion"
    shutil.copytree(data / "fashion", folder)
    file = folder / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte.gz cannot be read: Compressed f"):
        images(folder).load()
    write_idx(file, np.zeros((7, 28, 28), np.uint8))
    with pytest.raises(UserError, match=r"has 7 images, and .*labels-idx1-ubyte.gz 100 labels"):
        images(folder)
    write_idx(file, np.zeros((7, 28), np.uint8))
    with pytest.raises(UserError, match=r"has 2 axes, not 3"):
        images(folder)
    file.unlink()
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"fashion holds nothing that is read as images"):
        images(folder)


# --- runs


def run(root, out, *overrides):
    config = compose(
        ["dataset=images", f"dataset.root={root}", f"output_dir={out}", *SHORT, *overrides]
    )
    return train(config)


def lines(outcome, name):
    return (outcome.path / name).read_text().splitlines()


def test_a_run_on_folders_tells_the_classes_it_took_for_which(data, tmp_path):
    outcome = run(data / "parts", tmp_path, DRAWN, "distortion=RTS", "dataset.name=shapes")
    assert outcome.metrics["data"]["examples"] == "images"
    assert outcome.metrics["test"]["distorted"]["n"] == 15
    files = {each.name for each in (outcome.path / "figures").iterdir()}
    assert files == {
        "confusion.png",
        "mistakes.png",
        *(f"film-strip-{factor}.png" for factor in ("angle", "scale", "shift")),
        "robustness.svg",
        "rotation-recovered.png",
        "share-outside.svg",
        "warps-rotation-120.png",
        "warps-scale-0.5.png",
        "warps-training-distortion.png",
        "warps-translation-0.2.png",
    }
    rows = list(csv.DictReader(lines(outcome, "predictions.csv")))
    assert len(rows) == 15
    right = sum(row["prediction"] == row["y_true"] for row in rows)
    assert right / 15 == pytest.approx(outcome.metrics["test"]["clean"]["accuracy"])
    assert all(row["name"].startswith(row["y_true"] + "/") for row in rows)
    counts = list(csv.DictReader(lines(outcome, "confusion.csv")))
    assert sum(int(row[name]) for row in counts for name in SHAPES) == 15
    assert sum(int(row[name]) for row, name in zip(counts, SHAPES, strict=True)) == right


@pytest.mark.parametrize(("layout", "model"), [("tree", "stn"), ("fashion", "cnn"), ("npz", "fcn")])
def test_every_layout_and_network_train(data, tmp_path, layout, model):
    metrics = run(data / layout, tmp_path, f"model={model}", "trainer.max_epochs=1").metrics
    assert metrics["status"] == "complete"
    assert 0 <= metrics["test"]["clean"]["accuracy"] <= 1


def test_changed_images_are_another_run(broken, tmp_path):
    run(broken, tmp_path, "model=fcn", "trainer.max_epochs=1")
    assert run(broken, tmp_path, "model=fcn", "trainer.max_epochs=1").already_complete
    shutil.copy(broken / "train" / "bar" / "000.png", broken / "train" / "bar" / "001.png")
    with pytest.raises(UserError, match=r"data.sha256"):
        run(broken, tmp_path, "model=fcn", "trainer.max_epochs=1")


def test_a_run_has_the_same_numbers_wherever_its_data_lies(data, tmp_path):
    shutil.copytree(data / "tree", tmp_path / "elsewhere")
    one = run(data / "tree", tmp_path, "name=one", "trainer.max_epochs=1").path
    other = run(tmp_path / "elsewhere", tmp_path, "name=other", "trainer.max_epochs=1").path
    found = [json.loads(Path(each / "metrics.json").read_text()) for each in (one, other)]
    assert found[0]["test"] == found[1]["test"]
