"""A run's config, read back from its folder."""

import re

import pytest
import yaml

from stnlab.config import CONF_DIR, PROJECT_DIR, compose, from_plain, identity, to_plain
from stnlab.config.identity import with_defaults
from stnlab.errors import UserError

KEPT = sorted((PROJECT_DIR / "results").rglob("config.yaml"))
SEED = re.compile("^seed: [0-9]+$", re.MULTILINE)
DATASETS = ["rot90", "two-channel", "same-image", "mimic", "physionet2012", "jaderberg-tc"]


@pytest.mark.parametrize(
    "overrides",
    [
        *([f"dataset={name}"] for name in DATASETS),
        *(
            [f"model={path.stem}"]
            for path in (CONF_DIR / "model").glob("*n.yaml")
            if "-" not in path.stem
        ),
        ["dataset=mimic", "model=lstm", "dataset.source=synthetic"],
        ["init=random", "padding=border", "optimizer=adamw", "schedule=onecycle", "name=x"],
        ["optimizer=sgd", "schedule=step", "model.localization.lr=0.001", "num_threads=2"],
    ],
    ids=" ".join,
)
def test_it_is_the_inverse_of_to_plain(overrides):
    config = compose(overrides)
    plain = yaml.safe_load(yaml.safe_dump(to_plain(config)))
    found = from_plain(plain)
    assert to_plain(found) == to_plain(config)
    if config.model.has_transformer:
        assert found == config


def test_every_kept_config_loads():
    """One of each that differ in more than the seed."""
    different = {SEED.sub("", text): text for text in (path.read_text() for path in KEPT)}
    assert len(different) >= 90
    for text in different.values():
        plain = yaml.safe_load(text)
        found = to_plain(from_plain(plain))
        assert identity(with_defaults(plain, found)) == identity(found), text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"name": "mine"}, "parts": {}}, "its model is 'mine', which is of no part"),
        ({"parts": {"model": "stm"}}, "'stm', which no module that is imported offers. Did you"),
        ({"optimizer": {"lr": 0.1, "beta": 1}}, "'optimizer.beta': Key 'beta' not in 'Adam'"),
        ({"optimizer": {"lr": "much"}}, "'optimizer.lr': Value 'much'"),
        ({"dataset": 3}, "its dataset is 3, and no group"),
        ({"dataset": "NA"}, "it has no dataset"),
        ({"seed": "one"}, "'seed': Value 'one'"),
    ],
    ids=lambda each: str(each)[:40],
)
def test_what_is_wrong_is_named(changes, message):
    with pytest.raises(UserError, match=message):
        from_plain({**to_plain(compose()), **changes})
