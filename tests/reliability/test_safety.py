"""What comes from someone else, a checkpoint, a cache, a study, a name, is data and never acts."""

import ast
import json
import os
import pickle
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import hydra
import numpy as np
import pytest
import torch
import yaml
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from stnlab import cli
from stnlab.config import CONF_DIR, PROJECT_DIR, compose, compose_study
from stnlab.config.trust import require_plain_study
from stnlab.data import mnist
from stnlab.data.mimic import cache as mimic_cache
from stnlab.data.physionet2012 import cache as physionet2012_cache
from stnlab.data.physionet2012 import files as physionet2012_files
from stnlab.errors import UserError
from stnlab.report import write_report
from stnlab.run.recorder import load_checkpoint
from stnlab.schema import StudyConfig

SOURCES = sorted((PROJECT_DIR / "src").rglob("*.py"))


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def trap(tmp_path):
    """A trap; whether it was sprung is seen at the end of the test."""
    marker = tmp_path / "sprung"
    yield Trap(marker)
    assert not marker.exists()


# -- Pickles -------------------------------------------------------------------------------------


def test_the_trap_works(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_pickle_in_a_checkpoint_does_not_run(tmp_path, trap, form):
    path = tmp_path / "last.ckpt"
    content = {"state_dict": {"weight": torch.zeros(2)}, "callbacks": trap}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(UserError, match=r"last\.ckpt is damaged"):
        load_checkpoint(path)


def test_a_pickle_in_a_cache_does_not_run(tmp_path, trap):
    path = tmp_path / "train.npz"
    traps = np.array([trap], dtype=object)
    np.savez(path, key=traps, hours=traps, sha256=traps, values=traps, descriptors=traps)
    assert mimic_cache.load(path, 1) is None
    assert physionet2012_cache.load(path, "key", 1) is None
    np.savez(path, key=np.array("key"), hours=traps, sha256=traps, values=traps, descriptors=traps)
    assert mimic_cache.load(path, 1) is None
    assert physionet2012_cache.load(path, "key", 1) is None
    path.write_bytes(pickle.dumps(trap))
    assert mimic_cache.load(path, 1) is None
    assert physionet2012_cache.load(path, "key", 1) is None


def calls_in(path):
    """(name, keywords) of each call, as ``np.load``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            keywords = {each.arg: ast.unparse(each.value) for each in node.keywords}
            yield ast.unparse(node.func), keywords


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_sources_call_nothing_that_acts_on_data(path):
    text = path.read_text(encoding="utf-8")
    imported = {*re.findall(r"^\s*(?:import|from) ([\w.]+)", text, re.MULTILINE)}
    assert not {"pickle", "dill", "cloudpickle", "marshal", "shelve"} & imported
    # Nothing listens: no server is made here, on whatever address.
    assert not {"socket", "socketserver", "http.server"} & imported
    for name, keywords in calls_in(path):
        assert name not in ("eval", "exec", "os.system", "os.popen", "pickle.loads", "pickle.load")
        assert name not in ("hydra.utils.instantiate", "instantiate", "yaml.unsafe_load")
        assert keywords.get("shell") in (None, "False")
        if name == "torch.load":
            assert keywords["weights_only"] == "True"
        if name == "np.load":
            assert keywords["allow_pickle"] == "False"
        if name.endswith(("extractall", "unpack_archive")):
            pytest.fail(f"{path} unpacks an archive to the disk")


# -- Studies and other files of conf/ ------------------------------------------------------------


def plain_study(*grids, **more):
    return StudyConfig(**{"name": "theirs", "question": "?", "grids": list(grids)} | more)


@pytest.mark.parametrize(
    "grid",
    [
        "dataset=rot90 hydra.launcher._target_=os.system",
        "hydra/launcher=basic",
        "+hydra.callbacks.x._target_=os.system",
        "++hydra.run.dir=/tmp/x",
        "~hydra",
        "hydra.job.env_set.PATH=/tmp",
        "model=stn +model._target_=os.system",
        "overwrite=true",
        "output_dir=/tmp/elsewhere",
        "name=../../elsewhere",
        "cell=..",
        "seed=3",
        "study=RTS",
        "model@x=stn",
        "~model",
        "name=${oc.env:HOME}",
        "dataset.root=${oc.env:HOME}",
        "dataset='",
        "dataset=rot90 '",
        "--config-dir=/tmp",
        "-m",
    ],
)
def test_a_studys_grid_chooses_and_does_no_more(grid):
    with pytest.raises(UserError, match=r"^study=theirs: its grid .*") as caught:
        require_plain_study(plain_study(grid))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["theirs", "../x", "/etc/x", "RTS,rot90", "RTS hydra=x", ""])
def test_a_studys_parts_are_names(part):
    with pytest.raises(UserError, match=r"^study=theirs: its part '.*' is no other study's name"):
        require_plain_study(plain_study(parts=[part]))


@pytest.mark.parametrize("name", ["../x", "/x", "..", "a\nb", ""])
def test_a_studys_name_is_a_folders(name):
    from stnlab.config.validation import validate_sweep
    from stnlab.schema import SweepConfig

    with pytest.raises(UserError, match=r"^study\.name is .*allowed: a folder's name"):
        validate_sweep(SweepConfig(study=plain_study(name=name)))


def test_the_projects_own_files_are_plain():
    for path in (CONF_DIR / "study").glob("*.yaml"):
        require_plain_study(compose_study(path.stem))


HOSTILE_FILES = {
    "callback": "# @package _global_\n"
    "hydra: {callbacks: {x: {_target_: os.mkdir, path: MARKER}}}\n",
    "header": "# @package hydra.callbacks\nx: {_target_: os.mkdir, path: MARKER}\n",
    "logging": "# @package _global_\nhydra:\n  job_logging: {handlers: {x: {(): os.mkdir}}}\n",
    "escape": '# @package _global_\n"\\x68ydra": {callbacks: {x: {}}}\n',
    "defaults": "defaults:\n  - override /hydra/launcher: basic\nname: x\n",
    "package": "defaults:\n  - /dataset@hydra.callbacks: rot90\nname: x\n",
    "target": "name: x\nclaims:\n  - {_target_: os.mkdir, path: MARKER}\n",
    "deep": "name: x\nhydra: " + "[" * 60 + "]" * 60 + "\n",
}


@pytest.fixture
def conf(tmp_path):
    return Path(shutil.copytree(CONF_DIR, tmp_path / "conf"))


@pytest.mark.parametrize("kind", HOSTILE_FILES)
@pytest.mark.parametrize("place", ["study/theirs.yaml", "init/theirs.yaml"])
def test_a_file_that_touches_hydra_is_refused(conf, trap, kind, place):
    text = HOSTILE_FILES[kind].replace("MARKER", str(trap.path))
    (conf / place).write_text(text)
    with pytest.raises(UserError, match=r"theirs\.yaml sets Hydra's own keys .*Take them out"):
        compose([f"+{place.split('/')[0]}=theirs"], conf_dir=conf)


def test_a_file_named_hydra_is_refused(conf):
    (conf / "study" / "hydra.yaml").write_text("# @package _name_\nrun: {dir: /tmp}\n")
    with pytest.raises(UserError, match=r"hydra\.yaml sets Hydra's own keys"):
        compose(["+study=hydra"], conf_dir=conf)


def test_hydras_own_groups_may_be_added_to(conf):
    (conf / "hydra" / "launcher").mkdir(parents=True)
    (conf / "hydra" / "launcher" / "ours.yaml").write_text("defaults: [joblib]\n")
    compose(["hydra/launcher=ours"], conf_dir=conf)


@pytest.mark.parametrize("main", [cli.sweep_main, cli.train_main])
def test_the_command_line_refuses_before_hydra_acts(conf, trap, main, monkeypatch, capsys):
    text = HOSTILE_FILES["callback"].replace("MARKER", str(trap.path))
    (conf / "study" / "theirs.yaml").write_text(text)
    monkeypatch.setattr(cli, "CONF_DIR", conf)
    monkeypatch.setattr("sys.argv", ["x.py", "+study=theirs"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # which main sets for its own process
    assert main() == 1
    assert "sets Hydra's own keys" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "subprocess.run"])
def test_hydra_launches_with_its_plugins_alone(target):
    with pytest.raises(RuntimeError, match="not the hydra_plugins package"):
        Plugins.instance()._instantiate(OmegaConf.create({"_target_": target}))


@pytest.mark.parametrize("key", ["_target_", "model._target_", "dataset._target_", "init._args_"])
def test_a_config_names_nothing_that_is_called(key):
    with pytest.raises(UserError, match=f"unknown key '{key}'"):
        compose([f"+{key}=os.system"])


# -- Downloads and servers -----------------------------------------------------------------------


def test_mnist_is_fetched_over_tls_alone(served, tmp_path, monkeypatch):
    assert mnist._MIRROR.startswith("https://")
    monkeypatch.setattr(mnist, "_MIRROR", served[1])  # which has no TLS
    with pytest.raises(UserError, match=r"the download failed \(unknown url type: http"):
        mnist.load(str(tmp_path / "mnist"))


def test_records_are_fetched_over_tls_and_with_sums():
    assert physionet2012_files.URL.startswith("https://")
    assert all(re.fullmatch(r"[0-9a-f]{64}", sum_) for sum_ in physionet2012_files.SHA256.values())


def test_no_engine_is_told_to_listen_to_others():
    launchers = ["basic", "joblib", *(["ray"] if find("hydra_ray_launcher") else [])]
    for launcher in launchers:
        with hydra.initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            composed = hydra.compose(
                "sweep", [f"hydra/launcher={launcher}"], return_hydra_config=True
            )
        settings = OmegaConf.to_yaml(composed.hydra.launcher)
        assert "0.0.0.0" not in settings
        assert "dashboard_host" not in settings  # Ray's default is 127.0.0.1


def find(plugin):
    import importlib.util

    return importlib.util.find_spec(f"hydra_plugins.{plugin}") is not None


# -- A report ------------------------------------------------------------------------------------

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "[click](javascript:alert(1))",
    "![x](javascript:alert(1))",
    "![x](https://example.org/track.png)",
    "<https://example.org>",
    "[x]: javascript:alert(1)",
    "| a | b |",
    "`</code><script>`",
    "&lt;script&gt;&#x3c;script>",
    "{{ 7*7 }} {% raw %}",
    "# heading",
    "\u202egnp.exe",
)


class Page(HTMLParser):
    """What a page has that can act, and its text.

    The house's own script and figures are known; what else a browser would run or fetch is not.
    """

    def __init__(self, text):
        super().__init__()
        self.acting, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        link = values.get("href") or values.get("src") or ""
        if tag in ("script", "iframe", "object", "embed", "form", "base", "link", "foreignobject"):
            self.acting.append(tag)
        if any(name.startswith("on") for name in values):
            self.acting.append(f"{tag} {attrs}")
        link = link or values.get("xlink:href") or ""
        if link and not link.startswith(("#", "data:image/png;base64,", "../theirs/")):
            self.acting.append(link)

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_report_shows_hostile_words_as_text(tmp_path, hostile):
    study = tmp_path / "theirs"
    rows = [
        {"cell": name, "dataset": dataset, "model": hostile, "init": hostile, "padding": hostile}
        for name, dataset in (("cnn", "RTS"), ("fcn", "RTS"), (hostile, hostile))
    ]
    scores = {"clean": {"n": 10, "accuracy": 0.5, "loss": 1.0}}
    for number, name in enumerate(("cnn", "fcn")):
        path = study / name / "seed=0"
        path.mkdir(parents=True)
        plain = {"dataset": {"name": "RTS", "note": f"{hostile}{number}"}, "model": {"name": name}}
        (path / "config.yaml").write_text(yaml.safe_dump({**plain, "init": "NA", "padding": "NA"}))
        metrics = {
            "status": "complete",
            "test": scores,
            "best": {"test": scores},
            "collapsed": True,
            "collapsed_reason": hostile,
            "environment": {"python": hostile, "packages": {hostile: hostile}},
            "data": {"name": hostile, "sha256": hostile},
        }
        (path / "metrics.json").write_text(json.dumps(metrics))
    failed = study / "cnn" / "seed=1"
    failed.mkdir()
    (failed / "error.txt").write_text(hostile)
    claim = {"text": hostile, "kind": "paired", "pairs": [["cnn", "fcn"], [hostile, "cnn"]]}
    plan = {
        "study": hostile,
        "command": hostile,
        "question": hostile,
        "source": hostile,
        "cells": [{**row, "seeds": [0, 1]} for row in rows],
        "claims": [claim],
    }
    (study / "sweep.json").write_text(json.dumps(plan))
    write_report([study], tmp_path / "out")
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert page.acting == ["script"]  # the house's, whose checksum the page's policy has
    shown = "".join(each if each.isprintable() else "\ufffd" for each in hostile)
    assert page.text.count(shown) >= 5


# -- Advice --------------------------------------------------------------------------------------


def test_no_message_advises_to_delete_what_may_be_the_users():
    """The one that does so speaks of overwrite=true, by which a user says it."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise | ast.Return) or _is_an_error(node):
                said = " ".join(
                    part.value
                    for part in ast.walk(node)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                )
                assert "overwrite=true" in said or not re.search(r"(?i)\bdelete\b", said), said


def _is_an_error(node):
    return isinstance(node, ast.Call) and getattr(node.func, "id", "").endswith("Error")
