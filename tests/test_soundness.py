"""What is held against every dataset's parts before the first step."""

import re

import pytest
import torch
from rich.console import Console
from test_physionet2012 import write_outcomes, write_set

from stnlab.config import folder
from stnlab.data.mimic.synthetic import Settings, ensure_episodes
from stnlab.errors import UserError
from stnlab.run import train
from stnlab.run.run import Run


@pytest.fixture
def sets(tmp_path):
    """Of PhysioNet 2012: 12 stays in set a, every other one a death, and 8 in set b."""
    root = tmp_path / "sets"
    for letter, number in (("a", 12), ("b", 8)):
        first = 140000 if letter == "a" else 150000
        write_set(root, letter, {str(first + each): each % 2 for each in range(number)})
    return root


@pytest.fixture
def refused(short, monkeypatch):
    """Refused with these words in the message, before the first step."""

    def check(words, *overrides):
        monkeypatch.setattr(Run, "fit", lambda _: pytest.fail("it trained"))
        config = short(*overrides)
        with pytest.raises(UserError, match=re.escape(words)):
            train(config, Console(quiet=True))
        assert not (folder(config) / "checkpoints").exists()

    return check


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["dataset.val_size=12"],
            "dataset=physionet2012: the training part is empty. The parts have these numbers of "
            "examples: training 0, validation 12, test 8. What decides them: dataset.val_size is "
            "12, dataset.root is ",
        ),
        (["dataset.val_size=800"], "the training part is empty. "),
        (
            ["dataset.val_size=1"],
            "the validation part of 1 examples has none of 1 of the 2 classes",
        ),
        (["dataset.val_size=11"], "the training part of 1 examples has none of 1 of the 2 classes"),
        (
            ["dataset.val_size=4", "dataset.batch_size=1", "trainer.limit_train_batches=1"],
            "trainer.limit_train_batches is 1; allowed: what leaves examples of more than one "
            "class. All that it leaves of the training part, 1 of 8 at a time, is of class ",
        ),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_parts_of_physionet2012(refused, sets, overrides, words):
    epochs = "trainer.max_epochs=1"
    refused(words, "dataset=physionet2012", f"dataset.root={sets}", epochs, *overrides)


def test_a_test_set_of_one_class(refused, sets):
    write_outcomes(sets, "b", {str(150000 + each): 0 for each in range(8)})
    words = "the test part of 8 examples has none of 1 of the 2 classes (1)"
    refused(words, "dataset=physionet2012", f"dataset.root={sets}", "dataset.val_size=4")


@pytest.mark.parametrize("part", ["val", "test"])
def test_what_a_limit_leaves_of_one_class(refused, sets, monkeypatch, part):
    monkeypatch.setattr("stnlab.run.clinical.ClinicalExperiment.TEST_BATCH_SIZE", 1)
    words = f"trainer.limit_{part}_batches is 1; allowed: what leaves examples of more than one"
    refused(
        words,
        *("dataset=physionet2012", f"dataset.root={sets}", "dataset.val_size=4"),
        f"trainer.limit_{part}_batches=1",
        *(["trainer.limit_val_batches=1.0"] if part == "test" else []),
    )


def test_few_images_are_left_to_train_on(refused):
    words = "the training part of 3 examples has none of 1"
    refused(words, "dataset=two-channel", "model=cnn", "dataset.val_size=59998")
    refused("the training part of 5 examples has none of ", "dataset.val_size=59995")


def test_synthetic_episodes(refused, tmp_path):
    ensure_episodes(tmp_path / "episodes", Settings(num_train=4, num_val=4, num_test=4))
    listed = tmp_path / "episodes" / "val_listfile.csv"
    listed.write_text(listed.read_text().replace(",1\n", ",0\n"))
    root = f"dataset.root={tmp_path / 'episodes'}"
    refused("val_listfile.csv, column 'y_true': all 4 stays", "dataset=mimic", root)


def test_targets_that_are_no_classes(refused, monkeypatch):
    """As a dataset of a user's own may have them."""
    monkeypatch.setattr("stnlab.data.image_batches.ImageBatches.targets", torch.tensor([0, 1, 10]))
    refused("the training part has targets of 0 to 10; allowed: 0 to 9, for the 10 classes")


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_share_below_one_batch_is_one_batch(short, part):
    overrides = ["model=cnn", "trainer.max_epochs=1", f"trainer.limit_{part}_batches=0.0001"]
    outcome = train(short(*overrides), Console(quiet=True))
    if part == "test":
        assert {each["n"] for each in outcome.metrics["test"].values()} == {250}
