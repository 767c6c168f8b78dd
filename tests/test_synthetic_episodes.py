"""Synthetic episodes: the benchmark's form, a known signal, a planted warp of time."""

import numpy as np
import pytest

from stnlab.data import mimic
from stnlab.data.mimic.synthetic import (
    Settings,
    ensure_episodes,
    is_synthetic,
    planted_warps,
)
from stnlab.errors import UserError

SMALL = Settings(num_train=60, num_val=10, num_test=20)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic") / "episodes"
    ensure_episodes(root, SMALL)
    return root


def files_of(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".cache" not in path.parts
    }


@pytest.mark.parametrize("split", mimic.SPLITS)
def test_the_reader_reads_them(root, split):
    x, y, stays = mimic.read_split(root, split)
    num_stays = {"train": 60, "val": 10, "test": 20}[split]
    assert x.shape == (num_stays, 48, 76)
    assert y.sum() == round(0.3 * num_stays)
    assert planted_warps(root, split).stays == stays
    assert all(int(stay.partition("_")[0]) > 9_000_000 for stay in stays)


def test_the_same_seed_gives_the_same_bytes(root, tmp_path):
    ensure_episodes(tmp_path / "same", SMALL)
    ensure_episodes(tmp_path / "other", Settings(60, 10, 20, seed=1))
    assert files_of(tmp_path / "same") == files_of(root)
    assert files_of(tmp_path / "other") != files_of(root)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_they_are_labelled_synthetic(root, tmp_path):
    assert is_synthetic(root)
    assert not is_synthetic(tmp_path)
    assert (root / "SYNTHETIC.txt").read_text().startswith("SYNTHETIC episodes")


def test_undoing_the_planted_warp_shows_the_course(root):
    """At (θ22, θ23) = (tempo, phase) every heart rate is raised over the same stretch of time."""
    x, _, _ = mimic.read_split(root, "train")
    warps = planted_warps(root, "train")
    s = np.linspace(-1.15, 1.15, 47)
    hours = (warps.tempo[:, None] * s + warps.phase[:, None] + 1) * 24
    hours = hours.clip(0, 47).astype(int)
    rate = x[..., mimic.COLUMNS.index("Heart Rate")]
    aligned = np.take_along_axis(rate, hours, axis=1).mean(axis=0)
    assert aligned[np.abs(s) < 0.8].min() > 100
    assert aligned[np.abs(s) < 0.8].std() < 2


def test_the_label_lies_in_canonical_time_alone(root):
    x, y, _ = mimic.read_split(root, "train")
    warps = planted_warps(root, "train")
    pressure = x[..., mimic.COLUMNS.index("Mean blood pressure")]
    smooth = np.apply_along_axis(np.convolve, 1, pressure, np.ones(3) / 3, mode="same")[:, 1:-1]
    u = (smooth.argmin(axis=1) + 1.5) / 24 - 1
    distance = np.abs((u - warps.phase) / warps.tempo)
    assert ((distance > 0.475) == y).mean() > 0.85
    for planted in (warps.tempo, warps.phase):
        assert abs(np.corrcoef(planted, y)[0, 1]) < 0.3


def test_a_folder_that_is_there_is_kept(root, tmp_path):
    before = files_of(root)
    ensure_episodes(root, SMALL)
    with pytest.raises(UserError, match=r"holds synthetic episodes of other settings .*new folder"):
        ensure_episodes(root, Settings(60, 10, 21))
    assert files_of(root) == before
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(UserError, match=r"does not hold synthetic episodes; nothing was written"):
        ensure_episodes(tmp_path, SMALL)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (Settings(num_val=1), r"dataset\.num_val=1 is too few: .*set 2 or more"),
        (Settings(mortality=1.0), r"dataset\.mortality=1\.0 is not between 0 and 1"),
        (Settings(seed=-1), r"dataset\.seed=-1 is negative"),
    ],
)
def test_settings_without_sense(tmp_path, settings, match):
    with pytest.raises(UserError, match=match):
        ensure_episodes(tmp_path / "new", settings)


def test_real_data_has_no_planted_warp(tmp_path):
    with pytest.raises(UserError, match=r"planted\.csv is missing: only synthetic episodes"):
        planted_warps(tmp_path, "test")


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/new cannot be written: .*Name a folder"):
        ensure_episodes(tmp_path / "file" / "new", SMALL)
