"""Overrides of all kinds: each is a valid config or one clear message, and nothing is left behind.

Hypothesis draws the cases from what is in the code, so that they are the same every time.
"""

import itertools
import re
from dataclasses import fields, is_dataclass

import hydra
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stnlab import config as configs
from stnlab.config import CONF_DIR, ExperimentConfig, compose
from stnlab.config.identity import flatten
from stnlab.config.trust import MAX_COMBINATIONS, require_plain_study
from stnlab.errors import UserError
from stnlab.schema import StudyConfig
from stnlab.sweep.plan import plan

GROUPS = {
    group.name: sorted(path.stem for path in group.glob("*.yaml"))
    for group in sorted(CONF_DIR.iterdir())
    if group.is_dir() and group.name != "study"
}


def fuzzed(num_examples):
    return settings(
        max_examples=num_examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def hydra_ready():
    """Hydra set up once, as under ``hydra.main``; else each case would set it up anew."""
    with hydra.initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        yield


def assert_valid_or_one_message(overrides):
    """Returns the config, or None."""
    try:
        config = compose(overrides)
    except UserError as error:
        message = str(error)
    else:
        assert isinstance(config, ExperimentConfig)
        assert configs.to_plain(config)
        assert configs.folder(config).parts[0] == config.output_dir.split("/")[0]
        return config
    assert 10 < len(message) < 2000
    assert message == message.strip()
    assert message.isprintable()
    assert "\n" not in message
    assert "Traceback" not in message
    return None


def _of_a_kind(group):
    """A group's options; of those that rules cannot tell apart, as of two sizes, the first."""
    kinds = {}
    for option in GROUPS[group]:
        text = (CONF_DIR / group / f"{option}.yaml").read_text()
        kind = option
        if group in ("dataset", "model", "distortion"):
            kind = tuple(re.findall(r"/schema/\S+|^layout: \S+", text, re.MULTILINE))
        kinds.setdefault(kind, option)
    return list(kinds.values())


OF_A_KIND = {group: _of_a_kind(group) for group in GROUPS}
# The groups that rules and defaults speak of together.
TOGETHER = [
    *itertools.product(["dataset"], ["distortion", "init", "model", "padding", "warp"]),
    *itertools.product(["model"], ["init", "padding", "warp"]),
    *itertools.combinations(["init", "padding", "warp"], 2),
    *itertools.combinations(["optimizer", "schedule", "trainer"], 2),
]
PAIRS = [
    (f"{one}={first}", f"{other}={second}")
    for one, other in TOGETHER
    for first in OF_A_KIND[one]
    for second in OF_A_KIND[other]
]


@pytest.mark.usefixtures("hydra_ready")
@pytest.mark.parametrize("first", sorted({first for first, _ in PAIRS}))
def test_every_pair_of_choices(first):
    for second in (second for each, second in PAIRS if each == first):
        assert_valid_or_one_message([first, second])


@pytest.mark.usefixtures("hydra_ready")
def test_every_choice():
    for group, options in GROUPS.items():
        for option in set(options) - set(OF_A_KIND[group]):
            assert_valid_or_one_message([f"{group}={option}"])


# -- A key of ours with a value of any kind ------------------------------------------------------


def keys_of(config):
    return sorted(key for key in flatten(configs.to_plain(config)))


KEYS = sorted(
    {
        key
        for overrides in (
            [],
            ["dataset=mimic", "model=ts-stn"],
            ["dataset=physionet2012", "model=lstm"],
            ["model=fcn"],
        )
        for key in keys_of(compose(overrides))
    }
)
BASES = (
    ["dataset=RTS", "model=stn"],
    ["dataset=same-image", "model=multi-stn", "init=left-right"],
    ["dataset=mimic", "model=ts-stn"],
    ["dataset=physionet2012", "model=lstm"],
    ["model=fcn"],
)
PLAIN = st.sampled_from(
    (
        *("", "null", "true", "off", "[]", "{}", "''", "???", "nan", "inf", "-inf", "0", "-1", "1"),
        *("1.0", "-0.0", "1e-400", "1e400", "0x10", "1_0", "2", "[1,2]", "[0.5,0.5]", "[null]"),
        *("[[1.0,0.0,0.0,0.0,1.0,0.0]]", "{a:1}", "a,b", "range(3)", "${seed}", "${nothing}"),
        *(
            "${oc.env:HOME}",
            "${oc.env:NOT_SET}",
            "glob(*)",
            "a b",
            "..",
            "/",
            "a/b",
            "\\",
            "'",
            '"',
        ),
        *("9" * 20, "9" * 400, "9" * 5000, "-" + "9" * 30, "1" + "0" * 9, "x" * 300, "x" * 20_000),
        *("[" * 40 + "]" * 40, "[" * 800 + "]" * 800, "[" + "1," * 200 + "1]", "'a\nb'", "'a\0b'"),
        *("'\u202e'", "'\U0001f9e0'", "'\ud800'", "int(1.5)", "choice(1)", "str(1)"),
    )
)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(), st.lists(st.floats(), max_size=3)
).map(str)
QUOTED = st.text(max_size=20).map(
    lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
)
VALUES = st.one_of(PLAIN, NUMBERS, QUOTED)


@pytest.mark.usefixtures("hydra_ready")
@fuzzed(100)
@given(base=st.sampled_from(BASES), key=st.sampled_from(KEYS), value=VALUES)
def test_a_key_with_any_value(base, key, value):
    assert_valid_or_one_message([*base, f"{key}={value}"])


@pytest.mark.usefixtures("hydra_ready")
@fuzzed(60)
@given(
    key=st.one_of(
        st.sampled_from(KEYS).flatmap(
            lambda key: st.sampled_from((key[:-1], f"{key}x", f"{key}.x", f"{key}.0", key.upper()))
        ),
        st.sampled_from(("", ".", "a..b", "a.", "@", "a@b", "model@x", "_target_", "defaults")),
        st.text(min_size=1, max_size=10),
    ),
    prefix=st.sampled_from(("", "+", "++", "~")),
    value=st.one_of(st.none(), PLAIN),
)
def test_any_key(key, prefix, value):
    assert_valid_or_one_message([f"{prefix}{key}" + ("" if value is None else f"={value}")])


@pytest.mark.usefixtures("hydra_ready")
@fuzzed(60)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=3))
def test_any_text(overrides):
    assert_valid_or_one_message(overrides)


@pytest.mark.usefixtures("hydra_ready")
@pytest.mark.parametrize(
    ("override", "message"),
    [  # what was once a stack trace, or more than a line
        ("+=", "cannot apply the overrides"),
        ("~model.classifier.channels.0", "a list as a whole"),
        ("init.theta=" + "[" * 800 + "]" * 800, "nested too deeply"),
        ("seed=" + "9" * 5000, "a number of thousands of digits"),
        (".=" + "9" * 5000, "9 … 9.*Write key=value"),
        ("name=" + "x" * 20_000, "name is 'xxx"),
        ("name='a\nb'", r"name is 'a\\nb'"),
        ("name='\ud800'", "allowed: a folder's name"),
        ("padding='a\nb'", "there is no conf/padding/a b.yaml"),
        ("dataset.root='a\0b'", "dataset.root is .*a path that the system can have"),
        ("output_dir='a\0b'", "output_dir is .*a path that the system can have"),
        ("trainer.profiler=x", "trainer.profiler is 'x'; allowed: null, simple"),
        ("optimizer.eps=inf", "optimizer.eps is inf"),
        ("seed=???", "'seed' has no value. Set it"),
        ("dataset=''", "takes the name of one of its files"),
    ],
    ids=lambda value: value[:30],
)
def test_what_was_found_so_far(override, message):
    with pytest.raises(UserError, match=message):
        compose([override])
    assert_valid_or_one_message([override])


def test_every_number_has_bounds():
    """A number that overflows somewhere in a library is refused before anything is loaded."""
    config = compose()
    for key, value in flatten(configs.to_plain(config)).items():
        if type(value) is int:
            for huge in (10**30, -(10**30)):
                with pytest.raises(UserError, match=rf"'?{key.replace('.', '[.]')}"):
                    compose([f"{key}={huge}"])


def test_every_key_of_the_schema_is_drawn():
    def names(node):
        for field in fields(node):
            value = getattr(node, field.name)
            if is_dataclass(value):
                yield from (f"{field.name}.{name}" for name in names(value))
            else:
                yield field.name

    for base in BASES:
        assert set(names(compose(base))) <= {*KEYS}


# -- Sweeps --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        ["seeds=[]"],
        ["seeds=[0,0]"],
        ["seeds=[-1]"],
        ["seeds=3"],
        ["seeds=[a]"],
        ["name=../x"],
        ["name='a\0b'"],
        ["output_dir='a\0b'"],
        ["study=nothing"],
        ["study.grids=[dataset=rot90]"],
    ],
    ids=str,
)
def test_a_sweeps_own_keys(overrides):
    with pytest.raises(UserError) as caught:
        configs.sweep_from_hydra(configs.composition._compose(overrides, "sweep", CONF_DIR))
    assert "\n" not in str(caught.value)


@fuzzed(100)
@given(
    st.one_of(
        st.text(max_size=40),
        st.sampled_from(KEYS).flatmap(lambda key: VALUES.map(lambda value: f"{key}={value}")),
        st.sampled_from(
            (
                "dataset.seed=range(1000000000)",
                "optimizer.lr=range(0,1,1.0e-12)",
                "dataset.seed=range(0,10,0)",
                "optimizer.lr=range(0,inf)",
                "dataset.seed=range(200) model.classifier.hidden=range(1,200)",
                'dataset="',
                "dataset='",
            )
        ),
    )
)
def test_any_grid_of_a_study(grid):
    study = StudyConfig(name="x", question="?", grids=[grid])
    try:
        require_plain_study(study)
    except UserError as error:
        message = str(error)
    else:
        return
    assert message.startswith("study=x: its grid ")
    assert "Traceback" not in message


@pytest.mark.parametrize(
    "grid",
    [["dataset.seed=range(1000000000)"], ["seed=range(9)"], ["optimizer.lr=range(0,1,1e-9)"]],
)
def test_a_grid_without_end_is_refused_at_once(grid):
    sweep = configs.sweep_from_hydra(configs.composition._compose([], "sweep", CONF_DIR))
    with pytest.raises(UserError, match=rf"up to {MAX_COMBINATIONS:,}|takes seeds="):
        plan(sweep, grid)
