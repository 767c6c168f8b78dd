"""Clinical files of all kinds: each gives arrays or one clear message.

Hypothesis draws the cases from what is in the code, so that they are the same every time.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stnlab.data import mimic
from stnlab.data.mimic import episodes as mimic_episodes
from stnlab.data.mimic.variables import VARIABLES
from stnlab.data.physionet2012 import reader as physionet2012
from stnlab.data.physionet2012 import records as physionet2012_records
from stnlab.errors import UserError

NAMES = [variable.name for variable in VARIABLES]
EPISODE_HEADER = ",".join(["Hours", *NAMES])
RECORD_HEADER = "Time,Parameter,Value"
OUTCOMES_HEADER = "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"
ODD = ("", " ", "-1", "0", "1", "1e400", "nan", "inf", "-inf", "1_0", "0x10", "１", "٣", "9" * 400)
ODD_TEXT = ("None", "To Pain", '"', "'", "=1+1", "\t", "\0", "\ufeff", "é", "1,5", "null")


def fuzzed(num_examples):
    return settings(
        max_examples=num_examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


FIELDS = st.one_of(st.sampled_from((*ODD, *ODD_TEXT)), st.floats().map(str), st.text(max_size=6))
NUMBERS = st.one_of(st.floats(-1, 50).map(str), st.integers(-2, 60).map(str))


@st.composite
def mangled(draw, content):
    """``content``'s bytes, whole or cut, flipped, doubled, or with other line ends."""
    text = draw(content).encode("utf-8", "surrogatepass")
    kind = draw(st.sampled_from(("whole", "whole", "cut", "flipped", "crlf", "cr", "doubled")))
    if kind == "cut":
        return text[: draw(st.integers(0, len(text)))]
    if kind == "flipped" and text:
        place = draw(st.integers(0, len(text) - 1))
        return text[:place] + bytes([draw(st.integers(0, 255))]) + text[place + 1 :]
    if kind in ("crlf", "cr"):
        return text.replace(b"\n", b"\r\n" if kind == "crlf" else b"\r")
    return text * 2 if kind == "doubled" else text


@st.composite
def tables(draw, header, rows, max_rows=6):
    lines = [draw(st.one_of(st.just(header), st.just(header), st.text(max_size=20)))]
    lines += draw(st.lists(rows, max_size=max_rows))
    return "\n".join(lines) + draw(st.sampled_from(("\n", "\n", "", "\n\n")))


def arrays_or_one_message(read, file):
    """What ``read`` gives; None where it refuses, with a message that names ``file``."""
    try:
        return read()
    except UserError as error:
        message = str(error)
    assert file in message
    assert "\n" not in message
    assert "\0" not in message
    assert len(message) < 2000
    return None


# -- The MIMIC-III benchmark ---------------------------------------------------------------------


@st.composite
def episode_rows(draw):
    cells = [""] * len(NAMES)
    for place in draw(st.lists(st.integers(0, len(NAMES) - 1), max_size=4)):
        usual = st.sampled_from(VARIABLES[place].categories or ("36.6", "80", "7.4", "1e2"))
        cells[place] = draw(st.one_of(usual, usual, FIELDS))
    hour = draw(st.one_of(NUMBERS, NUMBERS, FIELDS))
    return ",".join([hour, *cells])


EPISODES = st.one_of(
    mangled(tables(EPISODE_HEADER, episode_rows())),
    mangled(tables(",".join(["Hours", *reversed(NAMES)]), episode_rows())),
    st.binary(max_size=60),
)


@fuzzed(400)
@given(EPISODES)
def test_any_episode(tmp_path, content):
    path = tmp_path / "1_episode1_timeseries.csv"
    hours = arrays_or_one_message(lambda: mimic_episodes.hours_of_one(path, content), str(path))
    if hours is not None:
        assert hours.shape == (48, 17)
        assert hours.dtype == np.float32
        assert not np.isinf(hours).any()
    many = mimic_episodes.hours_of_many([content])
    if many is not None:  # the quick reading never takes what the careful one refuses
        assert hours is not None
        np.testing.assert_array_equal(many[0], hours)


@st.composite
def list_rows(draw):
    stay = st.sampled_from([f"{each}_episode1_timeseries.csv" for each in (1, 2, 3)])
    label = st.sampled_from(("0", "1", " 1", "0 "))
    return ",".join(
        [draw(st.one_of(stay, stay, FIELDS, st.sampled_from(("../x", "/etc/hosts", "..", "a\\b")))),
         draw(st.one_of(label, label, FIELDS))]
    )  # fmt: skip


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    root = tmp_path_factory.mktemp("in-hospital-mortality")
    for folder in ("train", "test"):
        (root / folder).mkdir()
        for each in (1, 2, 3):
            path = root / folder / f"{each}_episode1_timeseries.csv"
            path.write_text(f"{EPISODE_HEADER}\n1.5{',' * len(NAMES)}\n")
    return root


@fuzzed(250)
@given(st.one_of(mangled(tables("stay,y_true", list_rows(), max_rows=4)), st.binary(max_size=40)))
def test_any_list(benchmark, content):
    path = benchmark / "train_listfile.csv"
    path.write_bytes(content)
    episodes = arrays_or_one_message(lambda: mimic.load_split(benchmark, "train"), path.name)
    if episodes is not None:
        assert episodes.x.shape == (len(episodes.y), 48, 76)
        assert np.isfinite(episodes.x).all()
        assert set(episodes.y.tolist()) <= {0, 1}
        assert len(set(episodes.stays)) == len(episodes.stays) > 0
    assert {each.name for each in benchmark.iterdir()} <= {
        "train", "test", "train_listfile.csv", ".cache"
    }  # fmt: skip


# -- The PhysioNet 2012 challenge ----------------------------------------------------------------


@st.composite
def record_rows(draw):
    minute = st.integers(0, 48 * 60).map(lambda at: f"{at // 60:02d}:{at % 60:02d}")
    time = st.one_of(st.just("00:00"), minute, minute, FIELDS, st.sampled_from(("48:01", "-1:00")))
    known = st.sampled_from((*physionet2012.VARIABLES, *physionet2012.DESCRIPTORS, "RecordID"))
    name = draw(st.one_of(known, known, known, FIELDS))
    value = draw(st.one_of(st.just("1"), NUMBERS, NUMBERS, FIELDS))
    return ",".join([draw(time), name, value])


@fuzzed(400)
@given(st.one_of(mangled(tables(RECORD_HEADER, record_rows())), st.binary(max_size=60)), st.data())
def test_any_record(content, data):
    if data.draw(st.booleans()):  # else hardly one would be a record
        content = content.replace(b"\n", b"\n00:00,RecordID,1\n", 1)
    found = arrays_or_one_message(
        lambda: physionet2012_records.stay_values("1.txt", "1", content, "Remedy."), "1.txt"
    )
    if found is not None:
        values, descriptors = found
        assert values.shape == (48, 37)
        assert descriptors.shape == (5,)
        assert not np.isinf(values).any()
        assert not np.isinf(descriptors).any()


@st.composite
def outcome_rows(draw):
    cells = [
        draw(st.one_of(st.sampled_from(("132539", "132540", "1")), FIELDS)),
        *(draw(st.one_of(NUMBERS, FIELDS)) for _ in range(4)),
        draw(st.one_of(st.sampled_from(("0", "1")), FIELDS)),
    ]
    return ",".join(cells)


@fuzzed(300)
@given(st.one_of(mangled(tables(OUTCOMES_HEADER, outcome_rows())), st.binary(max_size=60)))
def test_any_list_of_outcomes(content):
    labels = arrays_or_one_message(
        lambda: physionet2012_records.outcomes("Outcomes-a.txt", content, "Remedy."),
        "Outcomes-a.txt",
    )
    if labels is not None:
        assert labels
        assert set(labels.values()) <= {0, 1}
        assert all(stay.isascii() and stay.isdecimal() for stay in labels)
