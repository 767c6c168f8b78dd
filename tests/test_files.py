"""Files appear whole, one writer at a time, and what a killed one has left is removed."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stnlab.config import compose
from stnlab.errors import UserError
from stnlab.files import locked, readable, replacing, write_out
from stnlab.run import train


@pytest.fixture(params=["file", "folder"])
def make(request):
    """Makes a file or a folder, with some text in it."""

    def file(path, text):
        path.write_text(text)

    def folder(path, text):
        path.mkdir()
        (path / "inner").write_text(text)

    return file if request.param == "file" else folder


def content(path):
    return (path / "inner" if path.is_dir() else path).read_text()


def test_what_was_made_is_there_at_the_end_and_nothing_else(tmp_path, make):
    path = tmp_path / "new" / "data"
    with replacing(path) as temporary:
        make(temporary, "whole")
        assert not path.exists()
    assert content(path) == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_nothing(tmp_path, make):
    def fail():
        with replacing(tmp_path / "data") as temporary:
            make(temporary, "half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path, make):
    make(tmp_path / ".data.tmp", "half")
    (tmp_path / ".data.lock").touch()
    with replacing(tmp_path / "data") as temporary:
        assert not temporary.exists()
        make(temporary, "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_second_writer_waits_and_may_find_it_done(tmp_path, make):
    path = tmp_path / "data"

    def second():
        with replacing(path) as temporary:
            if not path.exists():
                make(temporary, "second")

    with ThreadPoolExecutor() as threads:
        with replacing(path) as temporary:
            waiting = threads.submit(second)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
            make(temporary, "first")
        waiting.result(timeout=10)
    assert content(path) == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_is_waited_for_no_longer_than_is_asked(tmp_path):
    with locked(tmp_path / "lock"), pytest.raises(TimeoutError), locked(tmp_path / "lock", 0.1):
        pass
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("name", [".", "/", "", "folder", "missing/file.csv"])
def test_where_no_file_can_be_written_is_said(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"--out: cannot write .*Name another file"):
        write_out(Path(name), "x")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_may_not_be_read_is_told_of(tmp_path):
    closed = str(tmp_path / "closed")
    message = rf"^dataset\.root: {closed} cannot be read \(Permission denied\)"
    with pytest.raises(UserError, match=message), readable("dataset.root"):
        raise PermissionError(errno.EACCES, "Permission denied", closed)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["rot90", "images", "mimic"])
def test_data_that_may_not_be_read(tmp_path, name):
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(UserError, match=r"closed.* cannot be read"):
        train(compose([f"dataset={name}", f"dataset.root={tmp_path / 'closed'}", "dataset.name=x"]))
