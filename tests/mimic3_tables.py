"""MIMIC-III's tables, made up: what each rule of the way to the benchmark's episodes turns on.

No patient is in them. Each case is one subject, or a few; :func:`every_rule` has them all.
"""

import csv
import gzip
import io
import random
from datetime import datetime, timedelta

HEADERS = {
    "PATIENTS": "ROW_ID SUBJECT_ID GENDER DOB DOD DOD_HOSP DOD_SSN EXPIRE_FLAG",
    "ADMISSIONS": "ROW_ID SUBJECT_ID HADM_ID ADMITTIME DISCHTIME DEATHTIME ETHNICITY DIAGNOSIS",
    "ICUSTAYS": (
        "ROW_ID SUBJECT_ID HADM_ID ICUSTAY_ID DBSOURCE FIRST_CAREUNIT LAST_CAREUNIT FIRST_WARDID "
        "LAST_WARDID INTIME OUTTIME LOS"
    ),
    "DIAGNOSES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "D_ICD_DIAGNOSES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
    "CHARTEVENTS": (
        "ROW_ID SUBJECT_ID HADM_ID ICUSTAY_ID ITEMID CHARTTIME STORETIME CGID VALUE VALUENUM "
        "VALUEUOM WARNING ERROR RESULTSTATUS STOPPED"
    ),
    "LABEVENTS": "ROW_ID SUBJECT_ID HADM_ID ITEMID CHARTTIME VALUE VALUENUM VALUEUOM FLAG",
    "OUTPUTEVENTS": (
        "ROW_ID SUBJECT_ID HADM_ID ICUSTAY_ID CHARTTIME ITEMID VALUE VALUEUOM STORETIME CGID"
    ),
}
START = datetime(2150, 3, 1, 8, 15, 7)
HEART_RATE, EYES, TEMPERATURE, WEIGHT, GLUCOSE, SYSTOLIC = "211", "184", "678", "763", "811", "51"
DIASTOLIC, FRACTION, SATURATION, PH, HEIGHT, REFILL = (
    "8368",
    "223835",
    "646",
    "780",
    "226707",
    "115",
)


def at(hours=0.0, start=START):
    """The time so many hours after the start, to the second."""
    return str(start + timedelta(seconds=round(hours * 3600)))


class Tables:
    """Rows of the eight tables, column -> text; what is left out is empty."""

    def __init__(self):
        self.rows = {name: [] for name in HEADERS}
        self.codes = {"4019"}

    def add(self, table, **fields):
        self.rows[table].append({"ROW_ID": str(len(self.rows[table]) + 1), **fields})

    def subject(self, number, *, dob="2090-01-01 00:00:00", dod=""):
        self.add("PATIENTS", SUBJECT_ID=number, DOB=dob, DOD=dod)
        return number

    def admission(self, subject, hadm, *, admitted=None, discharged=None, died="", code="4019"):
        self.add(
            "ADMISSIONS",
            **{"SUBJECT_ID": subject, "HADM_ID": hadm, "DEATHTIME": died},
            ADMITTIME=admitted or at(-5),
            DISCHTIME=discharged or at(24 * 30),
            DIAGNOSIS='a "cold", or\nworse',
        )
        if code:
            self.add("DIAGNOSES_ICD", SUBJECT_ID=subject, HADM_ID=hadm, ICD9_CODE=code)

    def stay(self, subject, hadm, icu, *, begin=None, end=None, days="3.0", wards="11", units="AA"):
        self.add(
            "ICUSTAYS",
            **{"SUBJECT_ID": subject, "HADM_ID": hadm, "ICUSTAY_ID": icu, "LOS": days},
            **{"FIRST_WARDID": wards[:1], "LAST_WARDID": wards[1:]},
            **{"FIRST_CAREUNIT": units[:1], "LAST_CAREUNIT": units[1:]},
            INTIME=at(0) if begin is None else begin,
            OUTTIME=at(72) if end is None else end,
        )

    def person(self, number, *, dob="2090-01-01 00:00:00", dod="", **settings):
        """A subject with one admission, 100000 + number, and one stay, 200000 + number."""
        of_stay = {
            k: settings.pop(k) for k in ("begin", "end", "days", "wards", "units") if k in settings
        }
        self.subject(str(number), dob=dob, dod=dod)
        self.admission(str(number), str(100_000 + number), **settings)
        self.stay(str(number), str(100_000 + number), str(200_000 + number), **of_stay)
        return number

    def event(self, number, hours, item, value, unit="", *, table="CHARTEVENTS", **fields):
        """An event of a person's, so many hours after the start."""
        row = {
            **{"SUBJECT_ID": str(number), "HADM_ID": str(100_000 + number)},
            **{"ITEMID": item, "VALUE": value, "VALUEUOM": unit},
            "CHARTTIME": at(hours),
        }
        if table != "LABEVENTS":
            row["ICUSTAY_ID"] = str(200_000 + number)
        self.add(table, **{**row, **fields})

    def text(self, number):
        """One surviving value that is no number, of no item that is read: all values are texts."""
        self.event(number, 1, "212", "Normal Sinus")

    def write(self, folder, *, packed=False, lower=False, quoted=False, order=None):
        """Write the tables to ``folder``; ``order`` gives the order of the subjects' blocks."""
        folder.mkdir(parents=True)
        codes = {"ICD9_CODE": "V3000", "LONG_TITLE": "x"}
        rows = {
            **self.rows,
            "D_ICD_DIAGNOSES": [*({"ICD9_CODE": code} for code in sorted(self.codes)), codes],
        }
        for name, of_table in rows.items():
            header = HEADERS[name].split()
            if order is not None and name != "D_ICD_DIAGNOSES":
                of_table = sorted(of_table, key=lambda row: order[row["SUBJECT_ID"]])  # noqa: PLW2901
            text = io.StringIO()
            style = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
            writer = csv.writer(text, lineterminator="\n", quoting=style)
            writer.writerow(map(str.lower, header) if lower else header)
            writer.writerows([row.get(column, "") for column in header] for row in of_table)
            path = folder / f"{name.lower() if lower else name}.csv"
            content = text.getvalue().encode("utf-8", "surrogateescape")
            if packed:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content, 1))
            else:
                path.write_bytes(content)
        return folder


def write_split(folder, *, test=(), val=()):
    """The benchmark's two lists, of all patients up to 999."""
    folder.mkdir(parents=True)
    for name, chosen in (("testset.csv", test), ("valset.csv", val)):
        lines = [f"{number},{int(number in chosen)}\n" for number in range(1, 1000)]
        (folder / name).write_text("".join(lines))
    return folder


# --- cases: (what, its events as (item, value, unit), the fields that they become, by variable)

NONE = {}
EYES_NAME = "Glascow coma scale eye opening"
VALUES = {
    "temperature in Fahrenheit": ([(TEMPERATURE, "98.6")], {"Temperature": "37.0"}),
    "temperature at 79": ([(TEMPERATURE, "79")], {"Temperature": "26.11111111111111"}),
    "temperature below 79, unit F": ([(TEMPERATURE, "78.9", "F")], {"Temperature": "78.9"}),
    "temperature text": ([(TEMPERATURE, "hot")], NONE),
    "temperature with blanks": ([(TEMPERATURE, " 37 ")], {"Temperature": "37.0"}),
    "temperature with underscores": ([(TEMPERATURE, "3_7")], {"Temperature": "37.0"}),
    "temperature NAN": ([(TEMPERATURE, "NAN")], NONE),
    "temperature infinite": ([(TEMPERATURE, "Infinity")], {"Temperature": "inf"}),
    "fraction in percent": ([(FRACTION, "50", "%")], {"Fraction inspired oxygen": "0.5"}),
    "fraction as fraction": ([(FRACTION, "0.5")], {"Fraction inspired oxygen": "0.005"}),
    "fraction in torr": ([(FRACTION, "40", "mmHg/Torr")], {"Fraction inspired oxygen": "40.0"}),
    "saturation as fraction": ([(SATURATION, "0.97")], {"Oxygen saturation": "97.0"}),
    "saturation of one": ([(SATURATION, "1")], {"Oxygen saturation": "100.0"}),
    "saturation of zero": ([(SATURATION, "0")], {"Oxygen saturation": "0.0"}),
    "saturation negative": ([(SATURATION, "-1")], NONE),
    "laboratory, point last": ([(GLUCOSE, "98.")], {"Glucose": "98.0"}),
    "laboratory, point first": ([(PH, ".5")], {"pH": "0.5"}),
    "laboratory with exponent": ([(GLUCOSE, "1e2")], NONE),
    "laboratory with sign": ([(GLUCOSE, "+98")], NONE),
    "laboratory with blank": ([(GLUCOSE, " 98")], NONE),
    "laboratory with line end": ([(GLUCOSE, "98\n")], NONE),
    "laboratory, a point alone": ([(PH, ".")], NONE),
    "urine's pH": ([("51491", "5.5")], {"pH": "5.5"}),
    "pressure pair, systolic item": ([(SYSTOLIC, "120/80")], {"Systolic blood pressure": "120.0"}),
    "pressure pair, diastolic item": (
        [(DIASTOLIC, "120/80")],
        {"Diastolic blood pressure": "80.0"},
    ),
    "pressure pair cut off": ([(SYSTOLIC, "120/")], NONE),
    "pressure pair with blank": ([(SYSTOLIC, "120/80 ")], NONE),
    "pressure alone": ([(DIASTOLIC, "-5")], {"Diastolic blood pressure": "-5.0"}),
    "refill normal": ([(REFILL, "Normal <3 secs")], {"Capillary refill rate": "0.0"}),
    "refill brisk": ([(REFILL, "Brisk")], {"Capillary refill rate": "0.0"}),
    "refill delayed": ([(REFILL, "Delayed")], {"Capillary refill rate": "1.0"}),
    "refill abnormal": ([(REFILL, "Abnormal >3 secs")], {"Capillary refill rate": "1.0"}),
    "refill other": ([(REFILL, "brisk"), (REFILL, "1")], NONE),
    "weight in kg": ([(WEIGHT, "80", "kg")], {"Weight": "80.0"}),
    "weight in lb": ([(WEIGHT, "100", "LBS")], {"Weight": "45.3592"}),
    "weight in oz": ([(WEIGHT, "160", "Oz.")], {"Weight": "4.53592"}),
    "weight labelled lb, unit kg": ([("226531", "100", "kg")], {"Weight": "45.3592"}),
    "weight labelled oz": ([("3582", "160", "")], {"Weight": "4.53592"}),
    "height in inches, half to even down": ([("1394", "25")], {"Height": "64.0"}),
    "height in inches, half to even up": ([("1394", "75")], {"Height": "190.0"}),
    "height, unit inch": ([(HEIGHT, "70", "Inch")], {"Height": "178.0"}),
    "height, unit min": ([(HEIGHT, "70", "min")], {"Height": "178.0"}),
    "height in cm": ([(HEIGHT, "170.5", "cm")], {"Height": "170.5"}),
    "height, unit missing by a token": ([(HEIGHT, "170.5", "1.#IND")], {"Height": "170.5"}),
    "raw, missing tokens": ([(HEART_RATE, token) for token in ("NA", "nan", "#N/A N/A")], NONE),
    "None is an answer": ([(EYES, "None")], {EYES_NAME: "None"}),
    "raw as it stands": ([(HEART_RATE, " 080 ")], {"Heart Rate": " 080 "}),
    "raw with a comma": ([(EYES, 'To "p", ain')], {EYES_NAME: '"To ""p"", ain"'}),
    "raw with a line break": ([(EYES, "To\r\npain\n")], {EYES_NAME: "To pain "}),
    "the largest text": ([(HEART_RATE, v) for v in ("98", "102", "9")], {"Heart Rate": "98"}),
    "None beats digits": (
        [(EYES, v) for v in ("4 Spontaneously", "None", "3 To speech")],
        {EYES_NAME: "None"},
    ),
    "beyond the basic plane": (
        [(EYES, v) for v in ("\U0001f600", "\uffee")],
        {EYES_NAME: "\U0001f600"},
    ),
    "the largest number": (
        [(TEMPERATURE, v) for v in ("9", "36.5", "15")],
        {"Temperature": "36.5"},
    ),
    "small number": ([(PH, "0.00005")], {"pH": "5e-05"}),
    "number with many digits": ([(PH, "7.123456789012345678")], {"pH": "7.123456789012345"}),
    "an item in another table": ([(GLUCOSE, "98", "", "OUTPUTEVENTS")], {"Glucose": "98.0"}),
    "an item that is not read": ([("212", "98")], NONE),
}


def every_rule():
    """Tables with every rule; the cases of :data:`VALUES` are subjects 100, 101, … ."""
    raw = Tables()
    for number, (events, _) in enumerate(VALUES.values(), start=100):
        raw.person(number)
        raw.text(number)
        for item, value, *more in events:
            unit, table = (*more, *("", "CHARTEVENTS")[len(more) :])
            raw.event(number, 2, item, value, unit, table=table)
    _ages(raw)
    _deaths(raw)
    _lengths(raw)
    _several_stays(raw)
    _ids(raw)
    _numbers(raw)
    return raw


def _beat(raw, number, hours=1.5):
    raw.text(number)
    raw.event(number, hours, HEART_RATE, "80")


def _ages(raw):
    adult = START - timedelta(days=18 * 365)
    births = (
        adult,
        adult + timedelta(seconds=1),
        START + timedelta(days=9),
        START - timedelta(days=109_000),
    )
    for number, dob in enumerate([*map(str, births), "", "unknown"], start=200):
        _beat(raw, raw.person(number, dob=dob))


def _deaths(raw):
    day = str(START.date())
    admitted, discharged = f"{day} 03:00:00", at(100)
    for number, settings in enumerate(
        [
            {"dod": f"{day} 00:00:00"},  # of the day of admission: before it
            {"dod": f"{day} 03:00:00"},
            {"dod": discharged},
            {"dod": at(100.01)},
            {"died": admitted},
            {"died": at(-6)},
            {"died": at(50), "dod": ""},
            {"died": "", "dod": day},
            {"died": at(1000), "dod": at(3)},
            {"died": at(50), "discharged": "NULL"},
        ],
        start=220,
    ):
        times = {"admitted": admitted, "discharged": discharged, **settings}
        _beat(raw, raw.person(number, **times))


def _lengths(raw):
    for number, settings in enumerate(
        [
            {"days": "2.0", "end": at(47.99)},
            {"days": "1.9999"},
            {"days": "1.99999996"},
            {"days": ""},
            {"days": "long"},
            {"code": ""},
            {"code": "04019"},  # leading zeros count
            {"code": "E9999"},  # of no known title
            {"end": ""},
            {"wards": "12"},
            {"units": "AB"},
            {"wards": ""},
            {"begin": ""},
            {"end": "", "days": "5"},
        ],
        start=240,
    ):
        _beat(raw, raw.person(number, **settings))
    number = raw.person(260)
    raw.text(number)
    for place, hours in enumerate(
        (-3, -1 / 3600, 0, 1 / 3600, 0.5, 47.9, 48, 48 + 1 / 3600, 71, 80)
    ):
        raw.event(number, hours, HEART_RATE, str(70 + place))
    _beat(raw, raw.person(261), 50)  # nothing in 48 hours
    raw.person(262)  # no event at all
    raw.text(raw.person(263))  # no item that is read
    raw.event(raw.person(264), 1, HEART_RATE, "")
    times = (
        "",
        "NaN",
        "soon",
        "2150-03-01",
        "2150-03-02 4:00:00",
        "2150-03-01T20:00:00",
        "2150-03-01 20:00:00.500",
        " 2150-03-01 21:00:00",
        "2150-03-01 21:00:00+01:00",
    )
    for place, time in enumerate(times):
        raw.event(raw.person(270 + place), 1, HEART_RATE, "x", CHARTTIME=time)


def _several_stays(raw):
    """Subject 300: numbers with gaps, a shared moment, windows that overlap."""
    subject = raw.subject("300")
    times = [(0, 60), (70, 130), (140, 200), (100, 130.5)]
    for place, (begin, end) in enumerate(times):
        raw.admission(subject, f"30{place}", code="4019" if place != 2 else "V3000")
        raw.stay(subject, f"30{place}", f"40{place}", begin=at(begin), end=at(end))
    raw.admission(subject, "309")  # one clean stay beside a transferred one: kept
    raw.stay(subject, "309", "409", begin=at(300), end=at(360))
    raw.stay(subject, "309", "410", begin=at(290), end=at(299), wards="12")
    raw.admission(subject, "311")  # two stays of one admission: neither
    raw.stay(subject, "311", "411", begin=at(400), end=at(460))
    raw.stay(subject, "311", "412", begin=at(470), end=at(560))
    for hours, stay, value in [
        *((1, 0, "88"), (110, 1, "90"), (110, 3, "91"), (110, 1, "9"), (120, 3, "85")),
        *((350, 9, "77"), (20, 1, "66"), (105.5, 0, "55")),
    ]:
        ids = {"SUBJECT_ID": subject, "HADM_ID": f"30{stay}", "ICUSTAY_ID": f"40{stay}"}
        raw.event(0, hours, HEART_RATE, value, **ids)
    raw.event(0, 2, "212", "AF", SUBJECT_ID=subject, HADM_ID="300", ICUSTAY_ID="400")
    # Two patients and two admissions of one number: the stay is there twice, and drops out.
    for number in (310, 320):
        raw.person(number)
    raw.subject("310")
    raw.admission("320", "100320")
    raw.person(330)
    raw.stay("330", "100330", "200330")  # listed twice
    # The order of stays that begin together: by their end, one without an end last.
    subject = raw.subject("340")
    for place, end in enumerate(("", at(90), at(80))):
        raw.admission(subject, f"34{place}")
        raw.stay(subject, f"34{place}", f"44{place}", end=end)
        ids = {"SUBJECT_ID": subject, "HADM_ID": f"34{place}", "ICUSTAY_ID": ""}
        raw.event(0, 3 + place, HEART_RATE, f"x{place}", **ids)


def _ids(raw):
    number = raw.person(400)
    other = raw.person(401)
    raw.text(number)
    raw.text(other)
    for hours, fields in enumerate(
        [
            {"HADM_ID": ""},
            {"HADM_ID": "NA"},
            {"HADM_ID": "100400.0"},
            {"HADM_ID": "0100400"},
            {"HADM_ID": "100401"},  # of another subject
            {"ICUSTAY_ID": ""},
            {"ICUSTAY_ID": "null"},
            {"ICUSTAY_ID": "200401"},
            {"ICUSTAY_ID": "200400.0"},
            {"SUBJECT_ID": "999"},
            {"ITEMID": "0211"},
        ],
        start=2,
    ):
        raw.event(number, hours, HEART_RATE, f"v{hours}", **fields)
    raw.event(number, 1.25, "50820", "7.31", table="LABEVENTS")
    raw.event(number, 1.25, "50820", "7.5", table="LABEVENTS", HADM_ID="")
    raw.event(number, 1.5, HEIGHT, "70", "\udcb0in", VALUE="7\udcb0")  # not UTF-8
    raw.event(number, 1.5, HEIGHT, "70", "\udcb0in")


def _numbers(raw):
    """Subjects without a text: all values are floats, and rules for texts do not apply."""
    number = raw.person(420)
    for hours, value in ((1, "98"), (1, "102"), (2, "+7"), (3, "1e2"), (4, " 5 "), (5, "inf")):
        raw.event(number, hours, HEART_RATE, value)
    for item, value in (
        (GLUCOSE, "-5"),
        (PH, "1e2"),
        (SATURATION, "-0.5"),
        (REFILL, "1"),
        (SYSTOLIC, "12345678901234567"),
        (TEMPERATURE, ""),
    ):
        raw.event(number, 6, item, value)
    number = raw.person(421)  # a text that validation drops
    raw.event(number, 1, HEART_RATE, "98")
    raw.event(number, 1, HEART_RATE, "x", HADM_ID="")
    number = raw.person(422)  # a text in another table
    raw.event(number, 1, HEART_RATE, "98")
    raw.event(number, 1, "40055", "clear", table="OUTPUTEVENTS")
    number = raw.person(423)  # what looks like a number, and is none
    raw.event(number, 1, HEART_RATE, "98")
    raw.event(number, 2, "212", "NAN")
    raw.event(raw.person(424), 1, HEART_RATE, "98")
    raw.event(424, 1, "212", "infinity")


def by_chance(seed, num_subjects=6, num_events=160):
    """Tables with values, units, times and ids by chance, odd ones among them."""
    draw = random.Random(seed)
    raw = Tables()
    values = [
        "98",
        "98.0",
        "7.4",
        "-5",
        "1e2",
        "",
        "NA",
        "None",
        "98 ",
        "120/80",
        "99999",
        "0.5",
        ".",
    ]
    texts = ["Brisk", "Delayed", "x\ny", 'a,"b', "inf", "NAN", "17"]
    items = [
        HEART_RATE,
        EYES,
        TEMPERATURE,
        WEIGHT,
        GLUCOSE,
        SYSTOLIC,
        DIASTOLIC,
        FRACTION,
        REFILL,
        "212",
        "3582",
        "1394",
    ]
    for number in range(500, 500 + num_subjects):
        raw.person(number, days=draw.choice(["3", "2.0", "1.5"]))
        pool = draw.choice([values[:2], values[:7], values, [*values, *texts]])
        for _ in range(draw.randrange(num_events)):
            fields = {}
            if draw.random() < 0.1:
                fields["HADM_ID"] = draw.choice(["", "1"])
            if draw.random() < 0.1:
                fields["ICUSTAY_ID"] = draw.choice(["", "1"])
            table = draw.choice(["CHARTEVENTS"] * 5 + ["LABEVENTS", "OUTPUTEVENTS"])
            if table == "LABEVENTS":
                fields.pop("ICUSTAY_ID", None)
            raw.event(
                *(number, draw.randrange(-20, 500) / 8, draw.choice(items), draw.choice(pool)),
                draw.choice(["", "kg", "lb", "oz", "in", "torr"]),
                table=table,
                **fields,
            )
    for rows in raw.rows.values():
        draw.shuffle(rows)
    return raw
