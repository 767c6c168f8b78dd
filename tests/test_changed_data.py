"""Data that differ make another run, and are said to differ."""

import json
import os
import shutil
import time

import pytest
from rich.console import Console
from test_mimic import write_list
from test_physionet2012 import write_outcomes
from test_soundness import sets  # noqa: F401  # a fixture

from stnlab.config import folder, to_plain
from stnlab.data import checksum, mnist
from stnlab.data.mimic import reader
from stnlab.data.mimic.synthetic import Settings, ensure_episodes
from stnlab.errors import UserError
from stnlab.folder import RunFolder, State
from stnlab.run import train
from stnlab.run.recorder import Recorder

WAYS_OUT = (
    r"on other data, which dataset\.root names, \(data\.\w+ was \w{12}…, is now \w{12}…\)\. It is "
    r"left as it is\. Either give this run another place with name=…, or delete the other with "
    r"overwrite=true"
)


@pytest.fixture
def episodes(tmp_path):
    root = tmp_path / "episodes"
    ensure_episodes(root, Settings(num_train=20, num_val=8, num_test=8))
    return root


@pytest.fixture
def of_episodes(short, episodes):
    return lambda *overrides: short(
        "dataset=mimic", "model=logistic", f"dataset.root={episodes}", *overrides
    )


def quick(config):
    return train(config, Console(quiet=True))


def change_a_value(root):
    path = sorted((root / "test").glob("*episode1*"))[0]
    path.write_text(path.read_text().replace("\n0.0,", "\n0.01,", 1))


def swap_two_labels(root):
    path = root / "train_listfile.csv"
    _, *rows = path.read_text().splitlines()
    labels = {row.split(",")[0]: row.split(",")[1] for row in rows}
    one, other = (next(stay for stay in labels if labels[stay] == each) for each in "01")
    labels[one], labels[other] = labels[other], labels[one]
    write_list(root, "train", labels)


@pytest.mark.parametrize("change", [change_a_value, swap_two_labels])
def test_a_complete_run_on_other_data_is_left_alone(of_episodes, episodes, change):
    first = quick(of_episodes())
    assert quick(of_episodes()).already_complete
    change(episodes)
    with pytest.raises(UserError, match=rf"holds a complete run {WAYS_OUT}"):
        quick(of_episodes())
    assert json.loads((first.path / "metrics.json").read_text()) == first.metrics
    again = quick(of_episodes("overwrite=true"))
    assert not again.already_complete
    assert again.metrics["data"] != first.metrics["data"]
    assert quick(of_episodes()).already_complete


def test_an_interrupted_run_does_not_go_on_with_other_data(of_episodes, episodes, monkeypatch):
    saved = Recorder.on_train_epoch_end

    def stop(self, trainer, module):
        saved(self, trainer, module)
        raise KeyboardInterrupt

    monkeypatch.setattr(Recorder, "on_train_epoch_end", stop)
    with pytest.raises(UserError, match="stopped after epoch 1 of 2"):
        quick(of_episodes())
    monkeypatch.undo()
    change_a_value(episodes)
    with pytest.raises(UserError, match=rf"holds an interrupted run {WAYS_OUT}"):
        quick(of_episodes())
    assert (folder(of_episodes()) / "checkpoints" / "last.ckpt").exists()
    begun_anew = quick(of_episodes("overwrite=true"))
    whole = quick(of_episodes("name=whole"))
    assert begun_anew.metrics["test"] == whole.metrics["test"]


@pytest.mark.parametrize("dataset", ["mimic", "physionet2012", "RTS"])
def test_the_checksums_are_those_of_a_run(short, episodes, sets, tmp_path, dataset):  # noqa: F811
    if dataset == "RTS":
        root = tmp_path / "mnist"
        shutil.copytree(mnist.BUNDLED_ROOT, root)
        config = short(f"dataset.root={root}")
        assert config.dataset.checksums() == {"sha256": mnist.load(root).sha256}
        (root / "t10k-labels-idx1-ubyte.gz").write_bytes(b"<html>")
        assert config.dataset.checksums() == {}
        return
    root = {"mimic": episodes, "physionet2012": sets}[dataset]
    config = short(f"dataset={dataset}", f"dataset.root={root}")
    parts, found = config.dataset.load(), config.dataset.checksums()
    assert found["sha256"] == parts.sha256
    assert found.get("labels_sha256") == parts.labels_sha256


def test_data_is_read_once_as_long_as_no_file_has_changed(of_episodes, episodes, monkeypatch):
    """A time that was set back, as a restored backup's, is not the time of the change."""
    dataset = of_episodes().dataset
    monkeypatch.setattr(checksum, "_SECONDS_TO_SETTLE", 0)
    first = dataset.checksums()
    with monkeypatch.context() as patch:
        patch.setattr(reader, "checksums", lambda _: pytest.fail("read again"))
        assert dataset.checksums() == first
    path = sorted((episodes / "test").glob("*episode1*"))[0]
    before = path.stat()
    path.write_text(path.read_text().replace("\n0.0,", "\n1.0,", 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert dataset.checksums() != first


def test_files_that_were_written_just_now_are_read_again(of_episodes, monkeypatch):
    dataset, number = of_episodes().dataset, []
    read = reader.checksums
    monkeypatch.setattr(reader, "checksums", lambda root: number.append(1) or read(root))
    for _ in range(2):
        dataset.checksums()
    assert len(number) == 2
    later = time.time() + 10
    monkeypatch.setattr(time, "time", lambda: later)
    for _ in range(2):
        dataset.checksums()
    assert len(number) == 3


def test_without_the_data_a_complete_run_is_complete(of_episodes, episodes, sets, short):  # noqa: F811
    quick(of_episodes())
    shutil.rmtree(episodes)
    assert quick(of_episodes()).already_complete
    config = short("dataset=physionet2012", f"dataset.root={sets}", "dataset.val_size=4")
    before = config.dataset.checksums()
    write_outcomes(sets, "b", {str(150000 + each): int(each < 4) for each in range(8)})
    assert config.dataset.checksums() != before


def test_a_run_of_before_there_was_a_checksum_is_complete(of_episodes, episodes):
    config = of_episodes()
    path = quick(config).path
    (path / "checksums.sha256").unlink()
    metrics = json.loads((path / "metrics.json").read_text())
    del metrics["data"]["labels_sha256"]
    (path / "metrics.json").write_text(json.dumps(metrics))
    swap_two_labels(episodes)
    state, _ = RunFolder(path).look(to_plain(config), config.dataset.checksums)
    assert state is State.complete
