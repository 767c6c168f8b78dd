"""What a wheel holds, and what its commands do from any folder."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from stnlab.config import CONF_DIR, PROJECT_DIR

INSTALLED = {str(each.name).lower() for each in distributions()}
# Asked for by name: to import either would bring setuptools' distutils into all tests.
for needed in ("pip", "setuptools"):
    if needed not in INSTALLED:
        pytest.skip(f"{needed}, which builds the wheel, is not installed", allow_module_level=True)

# What no build needs, and what one leaves.
LEFT_OUT = (".*", "results", "mnist", "tests", "outputs", "build", "*.egg-info", "__pycache__")
CHECKS = """
import os
from pathlib import Path
from stnlab.data import mnist, places
from stnlab.report.published import read_published
own = Path(os.environ["PYTHONPATH"])
assert Path(places.__file__).is_relative_to(own), places.__file__
assert not places.IS_CHECKOUT
assert places.CONF_DIR.is_relative_to(own) and (places.CONF_DIR / "train.yaml").is_file()
assert len(read_published().results) > 10
assert places.default_root("mnist") == Path(os.environ["XDG_CACHE_HOME"]) / "stnlab" / "mnist"
assert "project ships" not in mnist._INSTEAD
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment in which an installed stnlab is the one that is found."""
    place = tmp_path_factory.mktemp("wheel")
    source, site = place / "source", place / "site"
    shutil.copytree(PROJECT_DIR, source, ignore=shutil.ignore_patterns(*LEFT_OUT))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", place, source]
    subprocess.run([*pip, *build], check=True, capture_output=True, text=True)
    (wheel,) = place.glob("*.whl")
    install = ["install", "--no-deps", "--no-index", "--target", site, wheel]
    subprocess.run([*pip, *install], check=True, capture_output=True, text=True)
    return {**os.environ, "PYTHONPATH": str(site), "XDG_CACHE_HOME": str(place / "cache")}


def run(installed, tmp_path, *command):
    done = subprocess.run(
        command, env=installed, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_brings_its_configs_and_the_published_numbers(installed, tmp_path):
    run(installed, tmp_path, sys.executable, "-c", CHECKS)


def test_its_commands_work_from_any_folder(installed, tmp_path):
    bin_dir = Path(installed["PYTHONPATH"]) / "bin"
    helped = run(installed, tmp_path, bin_dir / "stnlab-train", "--help")
    assert "stnlab-train dataset=RTS model=cnn" in helped
    assert "train.py" not in helped
    assert all(path.stem in helped for path in CONF_DIR.glob("dataset/*.yaml"))
    planned = run(installed, tmp_path, bin_dir / "stnlab-sweep", "study=rot90", "dry_run=true")
    assert "0 of 10 runs done" in planned
    assert list(tmp_path.iterdir()) == []
