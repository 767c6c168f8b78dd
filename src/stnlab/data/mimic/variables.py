"""The 17 variables of the MIMIC-III benchmark and the 76 columns that are made of them.

Names, categories, their order and the normal values are those of the benchmark's discretizer
(Harutyunyan et al. 2019, "Multitask learning and benchmarking with clinical time series data";
mimic3-benchmarks, ``discretizer_config.json``), its spelling of Glasgow included.
"""

from dataclasses import dataclass

NUM_HOURS = 48


@dataclass(frozen=True)
class Variable:
    """One measured variable; ``categories`` is empty for a continuous one.

    ``normal`` is the value that stands for "never measured", as written in an episode's file.
    """

    name: str
    normal: str
    categories: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that hold its values: itself, or one for each category."""
        return tuple(f"{self.name}->{each}" for each in self.categories) or (self.name,)


_EYE_OPENING = (
    "To Pain",
    "3 To speech",
    "1 No Response",
    "4 Spontaneously",
    "None",
    "To Speech",
    "Spontaneously",
    "2 To pain",
)
_MOTOR_RESPONSE = (
    "1 No Response",
    "3 Abnorm flexion",
    "Abnormal extension",
    "No response",
    "4 Flex-withdraws",
    "Localizes Pain",
    "Flex-withdraws",
    "Obeys Commands",
    "Abnormal Flexion",
    "6 Obeys Commands",
    "5 Localizes Pain",
    "2 Abnorm extensn",
)
_TOTAL = ("11", "10", "13", "12", "15", "14", "3", "5", "4", "7", "6", "9", "8")
_VERBAL_RESPONSE = (
    "1 No Response",
    "No Response",
    "Confused",
    "Inappropriate Words",
    "Oriented",
    "No Response-ETT",
    "5 Oriented",
    "Incomprehensible sounds",
    "1.0 ET/Trach",
    "4 Confused",
    "2 Incomp sounds",
    "3 Inapprop words",
)

VARIABLES = (
    Variable("Capillary refill rate", "0.0", ("0.0", "1.0")),
    Variable("Diastolic blood pressure", "59.0"),
    Variable("Fraction inspired oxygen", "0.21"),
    Variable("Glascow coma scale eye opening", "4 Spontaneously", _EYE_OPENING),
    Variable("Glascow coma scale motor response", "6 Obeys Commands", _MOTOR_RESPONSE),
    Variable("Glascow coma scale total", "15", _TOTAL),
    Variable("Glascow coma scale verbal response", "5 Oriented", _VERBAL_RESPONSE),
    Variable("Glucose", "128.0"),
    Variable("Heart Rate", "86"),
    Variable("Height", "170.0"),
    Variable("Mean blood pressure", "77.0"),
    Variable("Oxygen saturation", "98.0"),
    Variable("Respiratory rate", "19"),
    Variable("Systolic blood pressure", "118.0"),
    Variable("Temperature", "36.6"),
    Variable("Weight", "81.0"),
    Variable("pH", "7.4"),
)
NUM_VARIABLES = len(VARIABLES)

COLUMNS = (
    *(column for variable in VARIABLES for column in variable.columns),
    *(f"mask->{variable.name}" for variable in VARIABLES),
)
CONTINUOUS = tuple(
    COLUMNS.index(variable.name) for variable in VARIABLES if not variable.categories
)
