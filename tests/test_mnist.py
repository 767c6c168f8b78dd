"""Reading MNIST: real files, moved, damaged and missing."""

import gzip
import shutil

import pytest
from torchvision.datasets import MNIST

from stnlab.data import mnist
from stnlab.errors import UserError


@pytest.fixture
def copy(tmp_path):
    root = tmp_path / "mnist"
    shutil.copytree(mnist.BUNDLED_ROOT, root)
    return root


def test_the_shipped_files():
    digits = mnist.load()
    assert digits.train_images.shape == (60_000, 28, 28)
    assert digits.test_images.shape == (10_000, 28, 28)
    assert digits.train_labels.bincount().tolist()[:3] == [5923, 6742, 5958]
    assert digits.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert len(digits.sha256) == 64


def test_unpacked_files_in_torchvisions_folder(copy, tmp_path):
    raw = tmp_path / "other" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in copy.glob("*.gz"):
        (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    assert mnist.load(str(tmp_path / "other")).sha256 == mnist.load().sha256


@pytest.mark.parametrize("damage", ["truncated", "flipped", "not gzip", "empty"])
def test_a_damaged_file_is_named(copy, damage):
    path = copy / "t10k-labels-idx1-ubyte.gz"
    data = path.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]
    path.write_bytes(
        {"truncated": data[:middle], "flipped": flipped, "not gzip": b"<html>", "empty": b""}[
            damage
        ]
    )
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz .*It is left as it is\."):
        mnist.load(str(copy))


def test_a_wrong_but_whole_file_is_named(copy):
    path = copy / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\0"))
    with pytest.raises(UserError, match=r"is not MNIST's, or cut off: 8 of 10,008 bytes"):
        mnist.load(str(copy))


def test_other_datas_files_of_the_same_names_are_left_alone(copy):
    """As Fashion-MNIST has them, of the same sizes, too."""
    path = copy / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[::-1]))
    before = path.read_bytes()
    with pytest.raises(
        UserError, match=r"^dataset\.root: .* is not MNIST's: .*left as it is\. Name"
    ):
        mnist.load(str(copy))
    assert path.read_bytes() == before


def test_missing_files_without_a_network(copy, monkeypatch):
    (copy / "t10k-labels-idx1-ubyte.gz").unlink()
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])  # nothing listens there
    with pytest.raises(UserError, match=r"lacks t10k-labels-idx1-ubyte, and the download failed"):
        mnist.load(str(copy))
    assert not (copy / "MNIST").exists()
