"""Reading the PhysioNet/CinC Challenge 2012: quirks, mistakes, downloads, features.

``STNLAB_PHYSIONET2012`` names a folder with sets a and b for the one test that needs the real data.
"""

import functools
import gzip
import hashlib
import io
import os
import random
import tarfile
from pathlib import Path

import numpy as np
import pytest

from stnlab.config import compose
from stnlab.data.physionet2012 import cache as physionet2012_cache
from stnlab.data.physionet2012 import files as physionet2012_files
from stnlab.data.physionet2012 import reader as physionet2012
from stnlab.data.physionet2012 import records as physionet2012_records
from stnlab.data.physionet2012.reader import COLUMNS, DESCRIPTORS, RANGES, VARIABLES, Records
from stnlab.datasets.physionet2012 import Physionet2012, Protocol
from stnlab.errors import UserError

HEADER = "Time,Parameter,Value"
OUTCOMES_HEADER = "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"
STAYS = {"132539": 0, "132540": 1, "132541": 0}


def record(stay, *rows, age=54, gender=0, height=-1, icu=4, weight=-1):
    known = {"RecordID": stay, "Age": age, "Gender": gender, "Height": height, "ICUType": icu}
    lines = [f"00:00,{name},{value}" for name, value in {**known, "Weight": weight}.items()]
    return "\n".join([HEADER, *lines, *rows, ""])


def write_set(root, letter="a", stays=STAYS, **changed):
    """A folder of records; ``changed`` are contents by stay, as in ``r132539="..."``."""
    folder = root / f"set-{letter}"
    folder.mkdir(parents=True)
    for stay in stays:
        content = changed.get(f"r{stay}", record(stay, "00:07,HR,73", "01:37,HR,77"))
        content = content.encode() if isinstance(content, str) else content
        (folder / f"{stay}.txt").write_bytes(content)
    write_outcomes(root, letter, stays)
    return root


def write_outcomes(root, letter="a", stays=STAYS):
    lines = [OUTCOMES_HEADER, *(f"{stay},6,1,5,-1,{y}" for stay, y in stays.items())]
    (root / f"Outcomes-{letter}.txt").write_text("\n".join([*lines, ""]))


def pack(root, letter="a", *, prefix=None):
    """Turn the folder of a set into its archive."""
    folder = root / f"set-{letter}"
    archive = root / f"set-{letter}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=prefix or folder.name)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    return archive


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))


@pytest.fixture
def root(tmp_path):
    return write_set(tmp_path / "data")


def values_of(*rows, **known):
    """Hourly values and descriptors of a record with these rows."""
    content = record("1", *rows, **known).encode()
    return physionet2012_records.stay_values("1.txt", "1", content, "Remedy.")


def measured(values):
    """(hour, variable, value) of what is there."""
    places = np.argwhere(~np.isnan(values)).tolist()
    return [(hour, VARIABLES[v], pytest.approx(float(values[hour, v]))) for hour, v in places]


# -- What the files mean -------------------------------------------------------------------------


def test_variables_and_columns():
    assert len(VARIABLES) == len(set(VARIABLES)) == 37
    assert RANGES.keys() == {*VARIABLES, *DESCRIPTORS}
    assert len(COLUMNS) == len(set(COLUMNS)) == 37 + 37 + 4 + 4
    assert COLUMNS[:37] == VARIABLES
    assert COLUMNS[37] == "mask->Albumin"


def test_a_set_is_read_in_the_order_of_its_outcomes(root):
    write_outcomes(root, stays=dict(reversed(STAYS.items())))
    records = physionet2012.load_set(root, "a")
    assert records.stays == ["132541", "132540", "132539"]
    assert records.y.tolist() == [0, 1, 0]
    assert records.y.dtype == np.int64
    assert records.values.shape == (3, 48, 37)
    assert records.values.dtype == records.descriptors.dtype == np.float32
    assert measured(records.values[0]) == [(0, "HR", 73), (1, "HR", 77)]
    np.testing.assert_array_equal(records.descriptors[0], [54, 0, np.nan, 4, np.nan])


def test_folder_nested_folder_and_archives_give_the_same(tmp_path, root):
    expected = physionet2012.load_set(root, "a")
    for name, prefix in {"one": "set-a", "two": "./set-a/set-a", "none": "."}.items():
        packed = write_set(tmp_path / name)
        pack(packed, prefix=prefix)
        for _ in ("parsed", "from the cache"):
            found = physionet2012.load_set(packed, "a")
            np.testing.assert_array_equal(found.values, expected.values)
            assert found.sha256 == expected.sha256
    nested = write_set(tmp_path / "nested")
    (nested / "set-a").rename(nested / "inner")
    (nested / "set-a").mkdir()
    (nested / "inner").rename(nested / "set-a" / "set-a")
    assert physionet2012.load_set(nested, "a").sha256 == expected.sha256


@pytest.mark.parametrize(
    ("time", "hour"), [("00:00", 0), ("00:59", 0), ("01:00", 1), ("47:59", 47), ("48:00", 47)]
)
def test_the_hour_of_a_time(time, hour):
    assert measured(values_of(f"{time},HR,80")[0]) == [(hour, "HR", 80)]


def test_the_last_plausible_value_of_an_hour_stays():
    rows = ["03:10,pH,7.1", "03:20,pH,7.3", "03:20,pH,7.2", "03:30,pH,735", "03:40,HR,-1"]
    assert measured(values_of(*rows)[0]) == [(3, "pH", 7.2)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("Temp", -17.8), ("DiasABP", 0), ("DiasABP", -1), ("NISysABP", 0), ("RespRate", 101)),
        *(("HR", 300), ("Weight", 0), ("WBC", 12500), ("GCS", 2), ("K", 22.9), ("Urine", 11000)),
    ],
)
def test_implausible_values_are_missing(name, value):
    assert measured(values_of(f"01:00,{name},{value}")[0]) == []


def test_the_ends_of_a_range_belong_to_it():
    for name in VARIABLES:
        for value in RANGES[name]:
            assert measured(values_of(f"01:00,{name},{value}")[0]) == [(1, name, value)]


def test_large_values_are_written_with_an_exponent():
    assert measured(values_of("01:00,AST,1.422e+04")[0]) == [(1, "AST", 14220)]


def test_descriptors():
    values, descriptors = values_of(
        *("00:00,Weight,82", "01:00,Weight,83"), age=90, gender=1, height=172.7, icu=2, weight=81
    )
    np.testing.assert_allclose(descriptors, [90, 1, 172.7, 2, 81], rtol=1e-6)
    assert measured(values) == [(0, "Weight", 82), (1, "Weight", 83)]


@pytest.mark.parametrize("height", [-1, 1.8, 431.8])
def test_unknown_and_implausible_descriptors_are_missing(height):
    values, descriptors = values_of(height=height, gender=-1, icu=-1, age=-1)
    assert np.isnan(descriptors).all()
    assert measured(values) == []  # a record of descriptors alone is a stay


def test_measurements_may_stand_among_the_descriptors():
    content = record("1").replace("00:00,ICUType", "00:00,HR,66\n00:00,ICUType").encode()
    values, descriptors = physionet2012_records.stay_values("1.txt", "1", content, "")
    assert measured(values) == [(0, "HR", 66)]
    assert descriptors[DESCRIPTORS.index("ICUType")] == 4


def test_rows_without_a_name_say_nothing():
    assert measured(values_of("01:00,,", "02:00,,-1", "03:00,HR,80")[0]) == [(3, "HR", 80)]


def test_windows_line_ends():
    content = record("1", "01:00,HR,80").replace("\n", "\r\n").encode()
    values, _ = physionet2012_records.stay_values("1.txt", "1", content, "")
    assert measured(values) == [(1, "HR", 80)]


# -- Mistakes ------------------------------------------------------------------------------------

BAD_RECORDS = {
    "empty": ("", "132540.txt is empty."),
    "header alone": (f"{HEADER}\n", "has no row RecordID"),
    "header": (
        record("132540").replace(HEADER, "Time,Variable,Value"),
        "line 1: the header is 'Time,Variable,Value', not 'Time,Parameter,Value'",
    ),
    "text for a number": (
        record("132540", "01:00,HR,fast"),
        "line 8, column 'Value': 'fast' is not a number; unknown is written -1",
    ),
    "no number": (record("132540", "01:00,HR,"), "line 8, column 'Value': nothing is not a number"),
    "nan": (record("132540", "01:00,HR,NaN"), "line 8, column 'Value': NaN is not a finite number"),
    "infinity": (record("132540", "01:00,HR,-inf"), "column 'Value': -inf is not a finite number"),
    "overflow": (record("132540", "01:00,HR,1e999"), "'Value': 1e999 is not a finite number"),
    "minutes": (
        record("132540", "25:99,HR,80"),
        "line 8, column 'Time': '25:99' is not a time, as 07:30 is",
    ),
    "time": (record("132540", "ab,HR,80"), "line 8, column 'Time': 'ab' is not a time"),
    "too late": (
        record("132540", "48:00,HR,80", "48:01,HR,80"),
        "line 9, column 'Time': 48:01 lies outside of the 48 hours after admission",
    ),
    "order": (
        record("132540", "02:00,HR,80", "01:59,HR,80"),
        "line 9, column 'Time': 01:59 is earlier than the line before",
    ),
    "parameter": (
        record("132540", "01:00,Temperature,37"),
        "line 8, column 'Parameter': 'Temperature' is none of the challenge's 42 parameters.",
    ),
    "nearest": (record("132540", "01:00,Platelet,200"), "Did you mean 'Platelets'?"),
    "gender": (
        record("132540", gender=2),
        "line 4, column 'Value': Gender is 2, none of 0, 1, or -1 for unknown",
    ),
    "unit": (record("132540", icu=2.5), "line 6, column 'Value': ICUType is 2.5, none of 1, 2, 3,"),
    "late descriptor": (
        record("132540", "01:00,Age,54"),
        "line 8, column 'Time': Age stands at 01:00, not at 00:00",
    ),
    "other record": (record("132541"), "its RecordID is 132541, but the file's name says 132540"),
    "no RecordID": (record("132540").replace("00:00,RecordID,132540\n", ""), "no row RecordID"),
    "two fields": (
        record("132540", "01:00,HR"),
        "line 8: '01:00,HR' has 2 fields where the header",
    ),
    "four fields": (record("132540", "01:00,HR,80,1"), "line 8: '01:00,HR,80,1' has 4 fields"),
    "empty line": (
        record("132540", "", "01:00,HR,80"),
        "line 8: an empty line where the header has 3",
    ),
    "cut off": (
        record("132540", "01:00,HR,80")[:-2],
        "line 8: '01:00,HR,8' ends without a line break; the file may have been cut off",
    ),
    "not text": (
        record("132540", "01:00,HR,80").encode() + b"02:00,\xe9,1\n",
        "line 9: the byte 0xe9 is not UTF-8 text",
    ),
}


@pytest.mark.parametrize("case", BAD_RECORDS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_bad_record_is_refused(tmp_path, case, packed):
    content, words = BAD_RECORDS[case]
    root = write_set(tmp_path / "data", r132540=content)
    if packed:
        pack(root)
    with pytest.raises(UserError) as error:
        physionet2012.load_set(root, "a")
    message = str(error.value)
    assert words in message
    assert ("set-a.tar.gz, 132540.txt" if packed else f"set-a{os.sep}132540.txt") in message
    assert message.endswith(("from " + physionet2012_files.URL + "set-a.tar.gz.", "again."))
    assert not list(root.glob(".cache/*"))


def test_whatever_bytes_change_a_record_is_read_or_refused():
    draw = random.Random(0)
    whole = record("1", *(f"{hour:02d}:30,HR,{60 + hour}" for hour in range(48))).encode()
    outcomes = {"read": 0, "refused": 0}
    for _ in range(1000):
        content = bytearray(whole)
        for _ in range(draw.choice([1, 1, 3])):
            at = draw.randrange(len(content))
            if draw.random() < 0.5:
                content[at] = draw.choice(b'0123456789.,-+eE_ :\n\r\tnaifNxSp"\x00\xff')
            else:
                del content[at : at + draw.choice([1, 1, 5, 200])]
        try:
            values, descriptors = physionet2012_records.stay_values("", "1", bytes(content), "")
            assert not np.isinf(values).any()
            assert not np.isinf(descriptors).any()
            outcomes["read"] += 1
        except UserError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 50


BAD_OUTCOMES = {
    "empty": ("", "Outcomes-a.txt is empty."),
    "header": ("RecordID,Death\n132539,0\n", "line 1: the header is 'RecordID,Death', not"),
    "header alone": (f"{OUTCOMES_HEADER}\n", "lists no stay"),
    "label": (
        f"{OUTCOMES_HEADER}\n132539,6,1,5,-1,2\n",
        "line 2, column 'In-hospital_death': '2' is neither 0 (left the hospital alive) nor 1",
    ),
    "record": (f"{OUTCOMES_HEADER}\n../1,6,1,5,-1,0\n", "column 'RecordID': '../1' is not a rec"),
    "twice": (
        f"{OUTCOMES_HEADER}\n132539,6,1,5,-1,0\n132539,6,1,5,-1,1\n",
        "line 3, column 'RecordID': 132539 is listed twice, first in line 2",
    ),
    "fields": (f"{OUTCOMES_HEADER}\n132539,6,1,5,-1\n", "line 2: '132539,6,1,5,-1' has 5 fields"),
    "cut off": (
        f"{OUTCOMES_HEADER}\n132539,6,1,5,-1,0",
        "line 2: '132539,6,1,5,-1,0' ends without",
    ),
    "no file": (
        "".join(f"{line}\n" for line in [OUTCOMES_HEADER, *(f"{s},6,1,5,-1,0" for s in range(9))]),
        "names 0, but",
    ),
    "no outcome": (
        f"{OUTCOMES_HEADER}\n132539,6,1,5,-1,0\n132540,6,1,5,-1,1\n",
        "has 132541.txt, but",
    ),
}


@pytest.mark.parametrize("case", BAD_OUTCOMES)
def test_bad_outcomes_are_refused(root, case):
    content, words = BAD_OUTCOMES[case]
    (root / "Outcomes-a.txt").write_text(content)
    with pytest.raises(UserError) as error:
        physionet2012.load_set(root, "a")
    assert words in str(error.value)
    assert "Outcomes-a.txt" in str(error.value)


def refused(root, *words, letter="a"):
    with pytest.raises(UserError) as error:
        physionet2012.load_set(root, letter)
    for each in words:
        assert each in str(error.value)


def test_the_message_for_a_missing_folder_says_how_to_get_the_data(tmp_path):
    refused(
        tmp_path / "nowhere",
        *("dataset.root: ", "does not exist", "free to anyone (ODC-By 1.0)"),
        *("dataset.download=true", "Outcomes-b.txt", "https://physionet.org/files/challenge-2012/"),
    )


def test_a_wrong_folder_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    refused(tmp_path, "has neither set-a.tar.gz (or a folder set-a of records) nor Outcomes-a.txt")
    refused(tmp_path / "holiday.jpg", "is a file, not a folder")


@pytest.mark.parametrize("download", [False, True])
def test_a_folder_too_high_or_too_low_is_refused_with_the_right_one(root, download):
    for wrong, word in ((root.parent, "high"), (root / "set-a", "low")):
        with pytest.raises(UserError, match=f"folder too {word}.*dataset.root={root}[.,]"):
            physionet2012.load_set(wrong, "a", download=download)


def test_half_a_set_is_refused(root):
    write_set(root / "a whole one")
    (root / "Outcomes-a.txt").rename(root / "Outcomes-b.txt")
    refused(root, "has the records of set a, but not Outcomes-a.txt", "1.0.0/Outcomes-a.txt")
    refused(root, "neither set-b.tar.gz nor a folder set-b with records", letter="b")
    (root / "set-b.zip").touch()
    refused(root, "set-b.zip is still packed; unpack it in", letter="b")


def with_bom(root):
    for path in (root / "Outcomes-a.txt", root / "set-a" / "132540.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def with_blank_last_lines(root):
    for path in (root / "Outcomes-a.txt", root / "set-a" / "132540.txt"):
        path.write_text(path.read_text() + "\n \n")


def with_labels_of_pandas(root):
    path = root / "Outcomes-a.txt"
    path.write_text(path.read_text().replace(",1\n", ",1.0\n").replace(",0\n", ",0.0\n"))


def with_packed_records(root):
    for path in (root / "set-a").iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def as_tgz(root):
    pack(root).rename(root / "set-a.tgz")


def as_tar(root):
    archive = pack(root)
    (root / "set-a.tar").write_bytes(gzip.decompress(archive.read_bytes()))
    archive.unlink()


def as_tar_of_another_name(root):
    archive = pack(root)
    archive.write_bytes(gzip.decompress(archive.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        *(with_bom, with_blank_last_lines, with_labels_of_pandas, with_packed_records),
        *(as_tgz, as_tar, as_tar_of_another_name),
    ],
)
def test_what_can_only_mean_one_thing_is_read(root, change):
    expected = physionet2012.load_set(root, "a")
    change(root)
    found = physionet2012.load_set(root, "a")
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.y.tolist() == expected.y.tolist()
    assert found.stays == expected.stays


def test_outcomes_that_are_still_packed_are_said_to_be(root):
    path = root / "Outcomes-a.txt"
    path.rename(root / "Outcomes-a.txt.gz")
    refused(root, "Outcomes-a.txt.gz is still packed; unpack it in")


def test_an_unknown_set_is_refused(root):
    refused(root, "set 'd' is not known; choose one of a, b, c", letter="d")


def test_sets_that_share_a_stay_are_refused(root):
    ones = physionet2012.load_set(root, "a")
    write_set(root, "b", {"142673": 0, "132540": 1})
    others = physionet2012.load_set(root, "b")
    with pytest.raises(UserError, match="record 132540 is in two sets"):
        physionet2012.require_disjoint(ones, others)
    physionet2012.require_disjoint(ones, others.take(np.array([0])))
    with pytest.raises(UserError, match=r"record 132539 \(and 2 more\) is in two sets"):
        physionet2012.require_disjoint(ones, ones)


# -- Archives ------------------------------------------------------------------------------------


def test_a_truncated_archive_is_refused(root):
    archive = pack(root)
    whole = archive.read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        archive.write_bytes(whole[:length])
        refused(root, "set-a.tar.gz is damaged, or not a .tar.gz archive", "get it again")
    flipped = bytearray(whole)
    flipped[-6] ^= 1  # in the checksum
    archive.write_bytes(flipped)
    refused(root, "set-a.tar.gz is damaged", "CRC")


@pytest.mark.parametrize(
    "content",
    [b"no archive", gzip.compress(b"not a tar"), gzip.compress(bytes(5000))],
    ids=["no gzip", "no tar", "zeros"],
)
def test_another_file_than_an_archive_is_refused(root, content):
    pack(root).write_bytes(content)
    refused(root, "set-a.tar.gz", "get it again")


def member(name, content=b"", **settings):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in settings.items():
        setattr(info, key, value)
    return info, content


LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}
BAD_MEMBERS = {
    "above": (member("../132542.txt"), "would lie outside of the archive's folder"),
    "absolute": (member("/set-a/132542.txt"), "would lie outside of the archive's folder"),
    "folder above": (member("set-a/../..", type=tarfile.DIRTYPE), "would lie outside"),
    "link": (member("set-a/132542.txt", **LINK), "is a link or a device, not a file"),
    "hard link": (member("set-a/1.txt", **{**LINK, "type": tarfile.LNKTYPE}), "is a link"),
    "device": (member("set-a/132542.txt", type=tarfile.FIFOTYPE), "is a link or a device"),
    "large": (member("set-a/132542.txt", bytes(1_000_001)), "1,000,001 bytes, more than the 1,000"),
    "large other": (member("set-a/README", bytes(1_000_001)), "more than the 1,000,000"),
    "twice": (member("other/132540.txt", record("132540").encode()), "is the second record 132540"),
}


@pytest.mark.parametrize("case", BAD_MEMBERS)
def test_a_bad_member_is_refused(root, case):
    (info, content), words = BAD_MEMBERS[case]
    with tarfile.open(root / "set-a.tar.gz", "w:gz") as tar:
        tar.add(root / "set-a", arcname="set-a")
        tar.addfile(info, io.BytesIO(content))
    (root / "set-a").rename(root / "unused")
    refused(root, "set-a.tar.gz: its member", words)
    assert not (root.parent / "132542.txt").exists()


def test_a_decompression_bomb_is_refused(root, monkeypatch):
    archive = pack(root)
    whole = gzip.decompress(archive.read_bytes())
    monkeypatch.setattr(physionet2012_files, "MAX_TOTAL_BYTES", 1_000_000)
    archive.write_bytes(gzip.compress(whole + bytes(2_000_000)))
    refused(root, "set-a.tar.gz unpacks to more than 1,000,000 bytes")
    # A name of so many bytes, which tarfile itself would read into memory.
    name, _ = member("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=900_000_000)
    archive.write_bytes(gzip.compress(name.tobuf(tarfile.GNU_FORMAT) + bytes(2_000_000)))
    refused(root, "set-a.tar.gz unpacks to more than 1,000,000 bytes")


def test_too_many_members_are_refused(root, monkeypatch):
    pack(root)
    monkeypatch.setattr(physionet2012_files, "MAX_MEMBERS", 3)
    refused(root, "has more than 3 members")


def test_other_files_are_left_alone(root):
    expected = physionet2012.load_set(root, "a").sha256
    for name in ("._132539.txt", "README", "132539.txt.bak"):
        (root / "set-a" / name).write_bytes(b"\xff")
    assert physionet2012.load_set(root, "a").sha256 == expected
    pack(root)
    assert physionet2012.load_set(root, "a").sha256 == expected


def test_files_too_large_to_be_the_challenges_are_refused(root, monkeypatch):
    monkeypatch.setattr(physionet2012_files, "MAX_FILE_BYTES", 200)
    (root / "set-a" / "132540.txt").write_bytes(bytes(201))
    refused(root, "132540.txt has 201 bytes, more than the 200")


# -- Cache ---------------------------------------------------------------------------------------


def test_a_set_is_parsed_once(root, monkeypatch):
    for pack_it in (False, True):
        if pack_it:
            pack(root)
        first = physionet2012.load_set(root, "a")
        with monkeypatch.context() as patch:
            patch.delattr(physionet2012_records, "stay_values")
            again = physionet2012.load_set(root, "a")
        np.testing.assert_array_equal(again.values, first.values)
        np.testing.assert_array_equal(again.descriptors, first.descriptors)
        assert (again.stays, again.sha256) == (first.stays, first.sha256)


def test_changed_data_is_parsed_again(root, monkeypatch):
    first = physionet2012.load_set(root, "a")
    (root / "set-a" / "132539.txt").write_text(record("132539", "00:07,HR,99"))
    second = physionet2012.load_set(root, "a")
    assert measured(second.values[0]) == [(0, "HR", 99)]
    assert second.sha256 != first.sha256
    write_outcomes(root, stays={**STAYS, "132541": 1})
    assert physionet2012.load_set(root, "a").y.tolist() == [0, 1, 1]
    assert physionet2012.load_set(root, "a").sha256 != second.sha256
    monkeypatch.setitem(physionet2012_cache.RANGES, "HR", (10, 90))  # another meaning
    with monkeypatch.context() as patch:
        patch.delattr(physionet2012_records, "stay_values")
        with pytest.raises(AttributeError):
            physionet2012.load_set(root, "a")


def test_a_damaged_cache_is_made_again(root):
    expected = physionet2012.load_set(root, "a").values
    kept = root / ".cache" / "set-a.npz"
    whole = kept.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for damaged in (b"", b"x", whole[: len(whole) // 2], bytes(flipped)):
        kept.write_bytes(damaged)
        np.testing.assert_array_equal(physionet2012.load_set(root, "a").values, expected)
        assert kept.read_bytes() == whole or len(kept.read_bytes()) == len(whole)


def test_a_cache_of_objects_is_not_loaded(root):
    physionet2012.load_set(root, "a")
    with (root / ".cache" / "set-a.npz").open("wb") as file:
        np.savez(file, key=np.array({}, dtype=object))
    assert physionet2012.load_set(root, "a").stays == list(STAYS)


def test_a_folder_that_cannot_be_written_to(tmp_path, root, monkeypatch):
    root.chmod(0o555)
    physionet2012.load_set(root, "a")
    assert not (root / ".cache").exists()
    assert len(list((tmp_path / "user-cache").rglob("set-a.npz"))) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)  # nowhere to write to
    assert physionet2012.load_set(root, "a").stays == list(STAYS)
    root.chmod(0o755)


# -- Download ------------------------------------------------------------------------------------


@pytest.fixture
def downloads(served, monkeypatch):
    """The reader fetches from the server, sums as given; without it, over TLS alone."""
    folder, url = served
    fetch = functools.partial(physionet2012_files._fetch, schemes=("http", "https"))
    monkeypatch.setattr(physionet2012_files, "_fetch", fetch)
    monkeypatch.setattr(physionet2012_files, "URL", url)
    write_set(folder)
    pack(folder)
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(physionet2012_files, "SHA256", sums)
    return folder


def test_missing_files_are_downloaded(downloads, tmp_path):
    root = tmp_path / "new" / "data"
    assert physionet2012.load_set(root, "a", download=True).stays == list(STAYS)
    assert {path.name for path in root.iterdir()} == {"set-a.tar.gz", "Outcomes-a.txt", ".cache"}
    (root / "Outcomes-a.txt").unlink()
    (downloads / "set-a.tar.gz").unlink()  # which is there, and not asked for again
    assert physionet2012.load_set(root, "a", download=True).stays == list(STAYS)


def test_a_download_with_another_sum_leaves_nothing_behind(downloads, tmp_path):
    root = tmp_path / "data"
    (downloads / "set-a.tar.gz").write_bytes(b"changed on the way")
    with pytest.raises(UserError, match=r"set-a\.tar\.gz has the SHA-256 .*, not .*Nothing was"):
        physionet2012.load_set(root, "a", download=True)
    assert not root.exists()
    root.mkdir()
    with pytest.raises(UserError, match="Nothing was kept"):
        physionet2012.load_set(root, "a", download=True)
    assert not any(root.iterdir())


def test_a_download_that_fails_says_what_to_do(downloads, tmp_path):
    (downloads / "Outcomes-a.txt").unlink()
    with pytest.raises(
        UserError, match=r"Outcomes-a\.txt could not be fetched .*HTTP Error 404.*by hand"
    ):
        physionet2012.load_set(tmp_path / "data", "a", download=True)
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"set-a.tar.gz"}


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(physionet2012_files, "URL", "https://127.0.0.1:9/")  # no one listens
    with pytest.raises(UserError, match=r"https://127.0.0.1:9/set-a\.tar\.gz could not be fetched"):
        physionet2012.load_set(tmp_path / "data", "a", download=True)
    assert not (tmp_path / "data").exists()


@pytest.mark.usefixtures("downloads")
def test_an_endless_download_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(physionet2012_files, "MAX_TOTAL_BYTES", 100)
    with pytest.raises(UserError, match="gives more than 100 bytes"):
        physionet2012.load_set(tmp_path / "data", "a", download=True)
    assert not (tmp_path / "data").exists()


def test_only_tls_is_spoken(served, tmp_path):
    folder, url = served
    (folder / "file").write_bytes(b"content")
    path, sum_ = tmp_path / "file", hashlib.sha256(b"content").hexdigest()
    with pytest.raises(OSError, match="unknown url type: http"):
        physionet2012_files._fetch(f"{url}file", path, sum_)
    for target in ("file:///etc/hostname", "ftp://127.0.0.1/file"):
        with pytest.raises(OSError, match=r"Redirection to url|unknown url type"):
            physionet2012_files._fetch(f"{url}redirect?{target}", path, sum_, ("http",))
    assert not path.exists()
    physionet2012_files._fetch(f"{url}redirect?{url}file", path, sum_, ("http",))
    assert path.read_bytes() == b"content"


def test_every_set_has_its_sums():
    names = {f"set-{letter}.tar.gz" for letter in "abc"} | {f"Outcomes-{s}.txt" for s in "abc"}
    assert physionet2012_files.SHA256.keys() == names
    assert all(len(bytes.fromhex(each)) == 32 for each in physionet2012_files.SHA256.values())


# -- Features ------------------------------------------------------------------------------------


def records_of(*stays):
    """Records of (rows, descriptors) pairs."""
    pairs = [values_of(*rows, **known) for rows, known in stays]
    values, descriptors = (np.stack(each) for each in zip(*pairs, strict=True))
    y = np.arange(len(stays)) % 2
    return Records(values, descriptors, y, [str(n) for n in range(len(stays))], "")


def test_imputation_carries_the_last_value_forward():
    values = records_of((["02:00,HR,80", "05:00,HR,90"], {})).values
    filled, mask = physionet2012.impute(values)
    heart_rate = VARIABLES.index("HR")
    assert filled.dtype == mask.dtype == np.float32
    assert np.isnan(filled[0, :2, heart_rate]).all()
    assert filled[0, 2:6, heart_rate].tolist() == [80, 80, 80, 90]
    assert (filled[0, 5:, heart_rate] == 90).all()
    assert np.flatnonzero(mask[0, :, heart_rate]).tolist() == [2, 5]
    assert mask.sum() == 2
    assert np.isnan(np.delete(filled, heart_rate, axis=2)).all()


def test_statistics_are_of_what_was_measured():
    records = records_of(
        (["02:00,HR,80", "05:00,HR,90", "05:00,MechVent,1"], {"age": 50, "height": 170}),
        (["02:00,HR,100", "05:00,pH,7.3", "06:00,MechVent,1"], {"age": 60}),
    )
    scale = physionet2012.statistics_of(records).scale
    assert scale["HR"] == pytest.approx((90, 10))
    assert scale["static->Age"] == pytest.approx((55, np.std([50, 60], ddof=1)))
    assert scale["static->Height"] == pytest.approx((170, 1))  # one value
    assert scale["pH"] == pytest.approx((7.3, 1))
    assert scale["MechVent"] == (1, 1)  # constant
    assert scale["Lactate"] == (0, 1)  # never measured
    assert list(scale) == [*VARIABLES, "static->Age", "static->Height", "static->Weight"]


def test_features():
    rows = ["02:00,HR,80", "05:00,HR,90", "06:00,HR,100"]
    train = records_of((rows, {"age": 50}), ([], {"age": 60}))
    test = records_of(
        (["01:00,HR,110", "02:00,HR,249"], {"age": 65, "gender": 1, "icu": 2, "height": 180}),
        ([], {"age": -1, "gender": -1, "icu": -1}),
    )
    x = physionet2012.features(test, physionet2012.statistics_of(train))
    assert x.shape == (2, 82, 48)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    one, other = (dict(zip(COLUMNS, each, strict=True)) for each in x)
    np.testing.assert_allclose(one["HR"], [0, 2, *[10] * 46], atol=1e-6)  # (249 - 90) / 10 cut off
    assert np.flatnonzero(one["mask->HR"]).tolist() == [1, 2]
    np.testing.assert_allclose(one["static->Age"], 10 / np.std([50, 60], ddof=1), rtol=1e-6)
    assert (one["static->Gender"] == 1).all()
    units = [[each[f"static->ICUType {code}"][0] for code in range(1, 5)] for each in (one, other)]
    assert units == [[0, 1, 0, 0], [0, 0, 0, 0]]
    assert (other["static->Gender"] == 0.5).all()
    assert not any(row.any() for name, row in other.items() if name != "static->Gender")


def test_stays_are_taken_by_place(root):
    records = physionet2012.load_set(root, "a")
    some = records.take(np.array([2, 0]))
    assert some.stays == ["132541", "132539"]
    assert some.y.tolist() == [0, 0]
    np.testing.assert_array_equal(some.values, records.values[[2, 0]])
    np.testing.assert_array_equal(some.descriptors, records.descriptors[[2, 0]])


# -- Who is learned from, and who is tested on ---------------------------------------------------


@pytest.fixture
def three_sets(tmp_path):
    """40 stays a set, of which a quarter died."""
    root = tmp_path / "three"
    for number, letter in enumerate("abc"):
        stays = {str(140_000 + 100 * number + stay): int(stay % 4 == 0) for stay in range(40)}
        write_set(root, letter, stays)
    return root


def splits(root, run_seed=0, **keys):
    dataset = Physionet2012(root=str(root), protocol=Protocol.splits, **keys)
    found = dataset.of_run(run_seed).load()
    return found.train, found.val, found.test


def test_all_three_sets_are_dealt_out_by_outcome(three_sets):
    parts = splits(three_sets)
    assert [(len(part), int(part.y.sum())) for part in parts] == [(96, 24), (12, 3), (12, 3)]
    names = [name for part in parts for name in part.names]
    assert len(set(names)) == 120


def test_a_split_follows_from_the_runs_seed(three_sets):
    by_seed = [splits(three_sets, seed)[2].names for seed in (0, 1, 0)]
    assert by_seed[0] == by_seed[2] != by_seed[1]
    assert splits(three_sets, 5, split=1)[2].names == by_seed[1]
    assert splits(three_sets, 0, seed=7)[2].names != by_seed[0]


def test_the_challenges_own_sets_do_not_depend_on_the_run(three_sets):
    overrides = ("val_size=10", "test_set=c", f"root={three_sets}")
    dataset = compose(["dataset=physionet2012", *(f"dataset.{each}" for each in overrides)]).dataset
    first, again = (dataset.of_run(seed).load() for seed in (0, 1))
    assert first.val.names == again.val.names
    assert [len(part) for part in (first.train, first.val, first.test)] == [30, 10, 40]
    assert first.test.names[0] == "140200"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["split=1"], r"dataset\.split is 1; allowed: null without dataset\.protocol=splits"),
        (["protocol=splits", "split=-1"], r"dataset\.split is -1; allowed: 0 to"),
        (["protocol=splits", "test_set=c"], r"dataset\.test_set is 'c'; allowed: left alone"),
        (["protocol=splits", "val_size=5"], r"dataset\.val_size is 5; allowed: left alone"),
        (["protocol=folds"], r"dataset\.protocol.*splits"),
    ],
)
def test_keys_of_the_other_protocol_are_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        compose(["dataset=physionet2012", *(f"dataset.{each}" for each in overrides)])


# -- The real data -------------------------------------------------------------------------------


@pytest.mark.skipif(
    "STNLAB_PHYSIONET2012" not in os.environ,
    reason="STNLAB_PHYSIONET2012 names no folder with sets a and b of the challenge",
)
def test_the_real_sets():
    root = Path(os.environ["STNLAB_PHYSIONET2012"])
    sets = {letter: physionet2012.load_set(root, letter) for letter in "ab"}
    physionet2012.require_disjoint(sets["a"], sets["b"])
    for letter, deaths in (("a", 554), ("b", 568)):
        records = sets[letter]
        assert records.values.shape == (4000, 48, 37)
        assert (len(records.stays), records.y.sum()) == (4000, deaths)
        assert not np.isnan(records.values).all(axis=(0, 1)).any()  # each variable is measured
        assert not np.isnan(records.descriptors[:, [0, 3]]).any()  # age, type of unit
    nothing = np.isnan(sets["a"].values).all(axis=(1, 2))
    assert {"140501", "140936", "141264"} <= set(np.array(sets["a"].stays)[nothing])
    x = physionet2012.features(sets["b"], physionet2012.statistics_of(sets["a"]))
    assert np.isfinite(x).all()
    assert np.abs(x).max() <= 10
