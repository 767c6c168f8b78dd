"""Configs: every file composes, and every mistake gets one clear message."""

import inspect
import re
import shutil
from dataclasses import fields

import pytest
import pytorch_lightning as pl
import yaml

from stnlab import config as configs
from stnlab.config import CONF_DIR, compose, compose_study
from stnlab.errors import UserError
from stnlab.schema import TrainerConfig

GROUP_FILES = sorted(path.relative_to(CONF_DIR) for path in CONF_DIR.glob("*/*.yaml"))
NEEDS = {  # what a choice cannot do without
    **{
        f"warp/{name}.yaml": ["dataset=physionet2012"]
        for name in ("time-affine", "monotone", "cpab")
    },
    "init/left-right.yaml": ["dataset=same-image", "model=multi-stn"],
    "model/multi-stn.yaml": ["dataset=two-channel"],
    **{
        f"model/{name}.yaml": ["dataset=physionet2012"]
        for name in ("alignment", "ts-stn", "lstm", "logistic", "time-in-range")
    },
}


@pytest.mark.parametrize("path", GROUP_FILES, ids=str)
def test_every_file_composes(path, own_roots):
    choice = f"{path.parent}={path.stem}"
    if path.parent.name == "study":
        assert compose_study(path.stem).name == path.stem
    else:
        compose([*NEEDS.get(str(path), []), choice, *own_roots.get(choice, [])])


@pytest.mark.parametrize("path", GROUP_FILES, ids=str)
def test_every_file_opens_with_a_sentence_for_help(path):
    first = (CONF_DIR / path).read_text().splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith(".")
    assert len(first) <= 85


def test_defaults_are_specs():
    config = compose()
    assert configs.folder(config).parts == ("outputs", "rot90", "stn-identity-zeros", "seed=0")
    assert (config.dataset.batch_size, config.optimizer.lr, config.trainer.max_epochs) == (
        64,
        1e-3,
        10,
    )
    assert (config.dataset.val_size, config.dataset.permutations) == (5000, 2)


def test_a_dataset_brings_its_distortion_and_the_user_can_change_it():
    assert compose(["dataset=RTS"]).distortion.rotation == 45
    assert compose(["dataset=RTS", "distortion=rot90"]).distortion.rotation == 90
    assert compose(["dataset=RTS", "distortion.scale=0"]).distortion.scale == 0


def test_a_models_own_file_holds_none_of_a_datasets_numbers():
    for path in (CONF_DIR / "model").glob("*.yaml"):
        numbers = re.findall(r"\d+", str(yaml.safe_load(path.read_text())))
        assert not {"28", "56", "19"} & set(numbers)


def test_trainer_keys_are_lightnings_and_two_of_ours():
    lightnings = set(inspect.signature(pl.Trainer).parameters)
    assert {f.name for f in fields(TrainerConfig)} - lightnings == {"enable_figures", "keep_epochs"}


MISTAKES = [
    (["datset=rot90"], r"unknown key 'datset'\. Did you mean 'dataset'\?"),
    (
        ["dataset=rot91"],
        r"no conf/dataset/rot91\.yaml\. Did you mean 'rot90'\? Allowed: RTS, .*rot90",
    ),
    (["dataset.val_sise=3"], r"unknown key 'dataset\.val_sise'\. Did you mean 'val_size'\?"),
    (
        ["model.classifier.chanels=[1,2]"],
        r"'model\.classifier\.chanels'\. Did you mean 'channels'\?",
    ),
    (["+trainer.max_epoch=3"], r"unknown key 'trainer\.max_epoch'\. Did you mean 'max_epochs'\?"),
    (["+seeed=1"], r"unknown key 'seeed'\. Did you mean 'seed'\?"),
    (["model=rnn"], r"no conf/model/rnn\.yaml.* Allowed: alignment, cnn, .*fcn, .*multi-stn, stn"),
    (["model=null"], r"a config group takes the name of one of its files"),
    (["~model"], r"'model' has no value\. Set it, or choose a file of conf/model/"),
    (["seed"], r"cannot read the override: .*missing EQUAL.* Write key=value"),
    (["seed=[1"], r"cannot read the override"),
    (["seed=1.5"], r"'seed': Value '1\.5' of type 'float' could not be converted to Integer"),
    (["seed=-1"], r"seed is -1; allowed: 0 to 4294967295"),
    (["dataset.batch_size=abc"], r"'dataset\.batch_size': Value 'abc'"),
    (["dataset.batch_size=0"], r"dataset\.batch_size is 0; allowed: 1 or more"),
    (["dataset.val_size=60000"], r"dataset\.val_size is 60000; allowed: 0 to 59998"),
    (["dataset=two-channel", "dataset.val_size=1"], r"a pair takes two images"),
    (["dataset.permutations=3"], r"dataset\.permutations is 3; allowed: 2 .* or 1"),
    (["distortion.rotation=-3"], r"distortion\.rotation is -3\.0; allowed: 0 to 180 degrees"),
    (["distortion.rotation=nan"], r"distortion\.rotation is nan"),
    (["distortion.scale=1"], r"distortion\.scale is 1\.0; allowed: 0 to below 1"),
    (["distortion.backend=opencv"], r"'distortion\.backend': .*expected one of \[tensor, pil\]"),
    (["padding.mode=reflect"], r"'padding\.mode': .*expected one of \[zeros, border, black\]"),
    (
        ["dataset=mimic", "dataset.source=synthetic", "padding=black"],
        r"padding=black does not go with dataset=mimic: .*series of time, which have none\. ",
    ),
    (["optimizer.lr=0"], r"optimizer\.lr is 0\.0; allowed: above 0"),
    (["optimizer.betas=[0.9]"], r"optimizer\.betas is \[0\.9\]; allowed: two numbers"),
    (["trainer.max_epochs=0"], r"trainer\.max_epochs is 0; allowed: 1 or more"),
    (["trainer.devices=2"], r"trainer\.devices is 2; allowed: 1\. One run uses one device"),
    (["trainer.accelerator=tpux"], r"trainer\.accelerator is 'tpux'; allowed: auto, cpu, gpu"),
    (["trainer.limit_train_batches=1.5"], r"limit_train_batches is 1\.5; allowed: a share"),
    (["name=a/b"], r"name is 'a/b'; allowed: a folder's name"),
    (["name=.."], r"name is '\.\.'; allowed: a folder's name"),
    (["model=multi-stn"], r"model=multi-stn does not go with dataset=rot90.* Use model=stn"),
    (["init=left-right"], r"init=left-right does not go with dataset=rot90.* Use init=identity"),
    (
        ["dataset=two-channel", "model=multi-stn", "init=left-right"],
        r"init=left-right does not go with dataset=two-channel",
    ),
    (["init.theta=[[1.0,0.0]]"], r"init\.theta is .*allowed: rows of 6 numbers"),
    (["init.theta=[[1,0,0,0,1,0]]"], r"'init\.theta\[0\]'.*Write it with a point, as in 1\.0"),
    (["init=random", "init.theta=[[1.0,0.0,0.0,0.0,1.0,0.0]]"], r"because init\.scheme=gaussian"),
    (["model.classifier.kernel_size=25"], r"sizes that leave a pixel of an image of 28x28"),
    (["model.classifier.dropout=1"], r"model\.classifier\.dropout is 1\.0; allowed: a probability"),
    (["model=cnn", "model.localization.hidden=3"], r"unknown key 'model\.localization'"),
    (
        ["model.classifier.channels=[{a: 1},2]"],
        r"'model\.classifier\.channels' is \[\{'a': 1\}, 2\]",
    ),
    (["model.classifier.channels=[[1],2]"], r"'model\.classifier\.channels'"),
    (["init.theta=[[[1.0],0.0]]"], r"'?init\.theta"),
    (["num_threads=0"], r"num_threads is 0; allowed: 1 or more"),
    (["seed=${sead}"], r"'seed': Interpolation key 'sead' not found"),
    (["model=stn,cnn"], r"Ambiguous value for argument 'model=stn,cnn'.*--multirun"),
]


@pytest.mark.parametrize(("overrides", "message"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_gets_one_message(overrides, message):
    with pytest.raises(UserError, match=message) as caught:
        compose(overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        (
            "dataset/rot90.yaml",
            "batch_sise: 3",
            r"'dataset\.batch_sise'.*conf/dataset/rot90\.yaml.*'batch_size'",
        ),
        ("model/stn.yaml", "clasifier: {}", r"'model\.clasifier'.*Did you mean 'classifier'"),
        ("init/identity.yaml", "thetas: []", r"'init\.thetas'.*Did you mean 'theta'"),
        (
            "trainer/default.yaml",
            "max_epoch: 3",
            r"'trainer\.max_epoch'.*Did you mean 'max_epochs'",
        ),
        ("train.yaml", "sead: 1", r"'sead'.*Did you mean 'seed'"),
        ("optimizer/adam.yaml", "lr: fast", r"'optimizer\.lr'.*'fast'.*conf/optimizer/adam\.yaml"),
    ],
)
def test_a_mistake_inside_a_file(tmp_path, file, line, message):
    shutil.copytree(CONF_DIR, tmp_path / "conf")
    path = tmp_path / "conf" / file
    text = path.read_text()
    key = line.split(":")[0]
    kept = [each for each in text.splitlines() if not each.startswith(f"{key}:")]
    path.write_text("\n".join([*kept, line]) + "\n")
    with pytest.raises(UserError, match=message):
        compose(conf_dir=tmp_path / "conf")


def test_init_and_padding_are_no_part_of_a_run_without_transformer():
    one, other = (
        configs.to_plain(compose(["model=cnn", *extra]))
        for extra in ([], ["init=random", "padding=border"])
    )
    assert one["init"] == one["padding"] == "NA"
    assert configs.identity(one) == configs.identity(other)
    assert configs.cell(compose(["model=cnn", "init=random"])) == "cnn"


def test_where_a_run_happens_is_no_part_of_it():
    one, other = (
        configs.identity(configs.to_plain(compose(extra)))
        for extra in ([], ["name=x", "output_dir=y", "dataset.root=z", "overwrite=true"])
    )
    assert one == other
    changed = configs.identity(configs.to_plain(compose(["seed=4"])))
    assert configs.differing_keys(one, changed) == [("seed", 0, 4)]


def test_a_tilde_that_a_shell_has_left_alone_is_the_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    config = compose(["output_dir=~/runs", "dataset.root=~/data"])
    assert (config.output_dir, config.dataset.root) == ("/home/someone/runs", "/home/someone/data")
    assert compose(["output_dir='./~runs'"]).output_dir == "./~runs"
    with pytest.raises(UserError, match=r"output_dir is '~nobody-here/x'; .*no home that"):
        compose(["output_dir=~nobody-here/x"])
