"""The variables of the PhysioNet/CinC Challenge 2012, their plausible ranges, and the columns.

Silva, Moody, Scott, Celi and Mark, "Predicting in-hospital mortality of ICU patients: the
PhysioNet/Computing in Cardiology Challenge 2012", Computing in Cardiology 39:245-248 (2012). Names
and units are those of the challenge's files.
"""

NUM_HOURS = 48

VARIABLES: tuple[str, ...] = (
    "Albumin",
    "ALP",
    "ALT",
    "AST",
    "Bilirubin",
    "BUN",
    "Cholesterol",
    "Creatinine",
    "DiasABP",
    "FiO2",
    "GCS",
    "Glucose",
    "HCO3",
    "HCT",
    "HR",
    "K",
    "Lactate",
    "MAP",
    "MechVent",
    "Mg",
    "Na",
    "NIDiasABP",
    "NIMAP",
    "NISysABP",
    "PaCO2",
    "PaO2",
    "pH",
    "Platelets",
    "RespRate",
    "SaO2",
    "SysABP",
    "Temp",
    "TroponinI",
    "TroponinT",
    "Urine",
    "WBC",
    "Weight",
)

# What is known at admission, the 00:00 of a record. The weight at 00:00 counts twice: here, and as
# the first value of the variable Weight.
DESCRIPTORS: tuple[str, ...] = ("Age", "Gender", "Height", "ICUType", "Weight")

# The codes of the two that are no quantities; -1 stands for unknown.
CODES: dict[str, tuple[int, ...]] = {"Gender": (0, 1), "ICUType": (1, 2, 3, 4)}

# Closed ranges; what lies outside is taken as missing, and never corrected, although 735 was surely
# a pH of 7.35: a rule for each slip would be guesswork. Generous to the sick: what a patient in
# extremis can have stays in. Numbers in the comments: rows of set a that fall out.
RANGES: dict[str, tuple[float, float]] = {
    # Laboratory; nothing falls out but a BUN of 0 (1 row) and potassium of 12.7 to 22.9, from a
    # sample that had clotted or was drawn beside an infusion (3). In set b, a WBC of 12500, per µL
    # where it should be per nL.
    "Albumin": (0.5, 7),  # g/dL
    "ALP": (1, 5000),  # IU/L
    "ALT": (1, 30000),  # IU/L
    "AST": (1, 30000),  # IU/L
    "Bilirubin": (0, 100),  # mg/dL
    "BUN": (1, 300),  # mg/dL
    "Cholesterol": (20, 1000),  # mg/dL
    "Creatinine": (0.1, 40),  # mg/dL
    "Glucose": (5, 2000),  # mg/dL
    "HCO3": (2, 60),  # mmol/L
    "HCT": (5, 75),  # %
    "K": (1.5, 12),  # mEq/L
    "Lactate": (0.1, 40),  # mmol/L
    "Mg": (0.3, 10),  # mmol/L in the documentation, mg/dL by their size
    "Na": (90, 200),  # mEq/L
    "Platelets": (1, 2500),  # cells/nL
    "TroponinI": (0, 500),  # µg/L
    "TroponinT": (0, 100),  # µg/L
    "WBC": (0, 500),  # cells/nL
    # Blood gases: a pH of 1, 3, 94 to 187 and 733 to 735, the point misplaced or another quantity
    # in its field (11); a PaO2 of 0 and 7.47, which is a pH (2); a PaCO2 of 0.3 (1).
    "FiO2": (0.21, 1),  # fraction; 0.21 is air
    "PaCO2": (5, 150),  # mmHg
    "PaO2": (15, 700),  # mmHg
    "pH": (6.5, 8.0),
    "SaO2": (20, 100),  # %
    # Pressures in mmHg. 0 and little above it: a line that was closed, a cuff that found no pulse;
    # near 300: a line being flushed. DiasABP 695, SysABP 694, MAP 172, NIDiasABP 107, NISysABP 181,
    # NIMAP 46.
    "DiasABP": (10, 200),
    "MAP": (10, 250),
    "SysABP": (20, 300),
    "NIDiasABP": (10, 200),
    "NIMAP": (10, 250),
    "NISysABP": (20, 300),
    # Other signs: a heart rate of 0 to 7.6 or 300 (14); breaths of 0, 91 and 98 a minute, from a
    # monitor that counts none or artefacts (62); a temperature of -17.8 (0 °F, in °C) to 24.x, of a
    # probe in the air or not at all (130).
    "GCS": (3, 15),  # Glasgow coma score
    "HR": (10, 250),  # beats/min
    "MechVent": (0, 1),  # 1: ventilated; set a has no 0
    "RespRate": (1, 80),  # breaths/min
    "Temp": (25, 45),  # °C
    # mL since the last value: more than 5 L at once is a sum, or a slip (6).
    "Urine": (0, 5000),
    # kg: -1, which is unknown (326), and 0 to 3.4 (235).
    "Weight": (20, 300),
    # Descriptors: -1 is unknown (Height 1894, Gender 3). Heights of 1.8 to 17.8 cm, in metres, feet
    # or decimetres, and of 366 to 432 cm, no one's (16).
    "Age": (10, 120),  # years; the challenge writes 90 for all that are older
    "Gender": (0, 1),  # 0: female, 1: male
    "Height": (100, 230),  # cm
    "ICUType": (1, 4),  # coronary care, cardiac surgery recovery, medical, surgical
}

_STATIC_SCALED = ("Age", "Height", "Weight")

# The columns that are standardised: the variables and three descriptors.
SCALED: tuple[str, ...] = (*VARIABLES, *(f"static->{name}" for name in _STATIC_SCALED))

# The channels of a series.
COLUMNS: tuple[str, ...] = (
    *VARIABLES,
    *(f"mask->{name}" for name in VARIABLES),
    *(f"static->{name}" for name in _STATIC_SCALED),
    "static->Gender",
    *(f"static->ICUType {code}" for code in CODES["ICUType"]),
)

# The channels of a series in its own units: the variables, and what is known at admission.
RAW_COLUMNS: tuple[str, ...] = (*VARIABLES, *(f"static->{name}" for name in DESCRIPTORS))
