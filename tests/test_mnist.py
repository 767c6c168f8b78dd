"""Reading MNIST: real files, moved, damaged and missing."""

import functools
import gzip
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from stnlab.data import mnist
from stnlab.download import fetch
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
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(mnist, "_MIRROR", "https://127.0.0.1:9/")  # nothing listens there
    with pytest.raises(UserError, match=r"lacks t10k-labels-idx1-ubyte, and the download failed"):
        mnist.load(str(copy))
    assert not (copy / "MNIST").exists()


@pytest.fixture
def mirror(served, monkeypatch):
    """The folder whose files are downloaded: MNIST's own, as the project ships them."""
    folder, url = served
    for packed in mnist.BUNDLED_ROOT.glob("*.gz"):
        shutil.copy(packed, folder)
    monkeypatch.setattr(mnist, "_MIRROR", url)
    monkeypatch.setattr(mnist, "fetch", functools.partial(fetch, schemes=("http",)))
    return folder


@pytest.mark.usefixtures("mirror")
def test_what_is_missing_is_downloaded_once_however_many_runs_begin(tmp_path):
    root = tmp_path / "new" / "mnist"
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: mnist.load(str(root)).sha256, range(4)))
    assert found == {mnist.load().sha256}
    names = {path.name for path in root.rglob("*") if path.is_file()}
    assert names == {path.name for path in mnist.BUNDLED_ROOT.glob("*.gz")}


def test_a_download_of_something_else_is_not_kept(mirror, tmp_path):
    (mirror / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(UserError, match=r"the download failed \(.*labels-idx1-ubyte.gz is not MN"):
        mnist.load(str(tmp_path / "data"))
    assert not list((tmp_path / "data").rglob("t10k-labels*"))
    (mirror / "t10k-labels-idx1-ubyte.gz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match=r"the download failed \("):
        mnist.load(str(tmp_path / "data"))
    assert not list((tmp_path / "data").rglob("t10k-labels*"))
