"""The 114 items of MIMIC-III that the benchmark reads, and the 17 variables that they become.

An item's number alone decides, not its table: so glucose and pH of other fluids than blood (51478,
51491, 51094, 50831) count as glucose and pH, as they do in the benchmark.
"""

from stnlab.data.mimic.variables import VARIABLES

NAMES = tuple(variable.name for variable in VARIABLES)

# How a variable's values are cleaned (see cleaning.py); the others are taken as they stand.
RULES = {
    "Capillary refill rate": "refill",
    "Diastolic blood pressure": "diastolic",
    "Fraction inspired oxygen": "fraction",
    "Glucose": "laboratory",
    "Height": "height",
    "Oxygen saturation": "saturation",
    "Systolic blood pressure": "systolic",
    "Temperature": "temperature",
    "Weight": "weight",
    "pH": "laboratory",
}

_ITEMS = {
    "Capillary refill rate": "115 3348 8377",
    "Diastolic blood pressure": (
        "8368 8440 8441 8502 8503 8504 8506 8507 8555 220051 220180 224643 225310"
    ),
    "Fraction inspired oxygen": "189 727 3420 3422 223835",
    "Glascow coma scale eye opening": "184 220739",
    "Glascow coma scale motor response": "454 223901",
    "Glascow coma scale total": "198",
    "Glascow coma scale verbal response": "723 223900",
    "Glucose": "807 811 1529 3745 50809 50931 51478 220621 225664 226537",
    "Heart Rate": "211 220045",
    "Height": "1394 226707 226730",
    "Mean blood pressure": ("52 224 456 3312 3314 3316 3320 3322 6702 220052 220181 224322 225312"),
    "Oxygen saturation": "646 834 8498 50817 220227 220277",
    "Respiratory rate": "614 615 618 651 3603 220210 224422 224689 224690",
    "Systolic blood pressure": (
        "51 442 455 3313 3315 3317 3321 3323 6701 220050 220179 224167 225309 227243"
    ),
    "Temperature": "676 677 678 679 3654 3655 223761 223762",
    "Weight": "763 3580 3581 3582 3693 224639 226512 226531",
    "pH": "780 860 1126 1673 3839 4202 4753 50820 50831 51094 51491 220274 223830",
}

# Items whose label names the unit: it counts whatever the row's own unit says.
LABEL_UNITS = {"3582": "oz", "3581": "lb", "226531": "lb", "1394": "in"}

ITEMS = {item: name for name, items in _ITEMS.items() for item in items.split()}
