"""What several tests need: a short run, in a folder of its own."""

import functools
import http.server
import os
import signal
import subprocess
import threading
from importlib.util import find_spec

import commands
import numpy as np
import pytest
from own_data import pictures, waves, write_ts
from short_run import SHORT

from stnlab.config import compose

# torch's threads would wait for each other where tests run side by side; a run has one anyway.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where there was no compiler, each process would say so: asked for torch's operators, none does.
if find_spec("stnlab.kernels._kernels") is None:
    os.environ.setdefault("STNLAB_KERNEL", "torch")
# A shell has what it starts in the background ignore Ctrl-C, and so would all runs of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def own_roots(tmp_path_factory):
    """What datasets need that have no data of their own: 32x32 RGB images, series of 2 channels."""
    root = tmp_path_factory.mktemp("own")
    labels = np.arange(30) % 3
    for name, x in (("images", pictures(labels, 32, 32, 3)), ("series", waves(labels, 50))):
        (root / name).mkdir()
        np.savez(root / name / "all.npz", x=x, y=labels)
    for part, number in (("TRAIN", 30), ("TEST", 12)):
        write_ts(root / "ucr" / f"Waves_{part}.ts", [50] * number)
    return {
        **{f"dataset={name}": [f"dataset.root={root / name}"] for name in ("images", "series")},
        "dataset=ucr": [f"dataset.root={root / 'ucr'}", "dataset.problem=Waves"],
    }


@pytest.fixture
def short(tmp_path):
    """Compose a short run whose outputs go to the test's folder."""

    def composed(*overrides):
        return compose([*SHORT, f"output_dir={tmp_path / 'outputs'}", *overrides])

    return composed


@pytest.fixture
def start_py(tmp_path):
    """Start a script of the project with overrides, from another folder than the project's."""

    def start(script, *overrides, **settings):
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return commands.start(script, *overrides, cwd=tmp_path, **streams, **settings)

    return start


@pytest.fixture
def train_py(start_py):
    """Start ``train.py`` with overrides."""
    return functools.partial(start_py, "train.py")


@pytest.fixture
def sweep_py(start_py):
    """Run ``sweep.py`` with overrides to its end: exit status, output, errors."""

    def run(*overrides):
        process = start_py("sweep.py", *overrides)
        out, err = process.communicate()
        return process.returncode, out, err

    return run


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder, and the address at which a server on this machine gives its files."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if "redirect" in self.path:
                self.send_response(302)
                self.send_header("Location", self.path.partition("?")[2])
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_):
            pass

    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
