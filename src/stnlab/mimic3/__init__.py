"""From MIMIC-III's raw tables to the in-hospital-mortality episodes of the public benchmark.

``python -m stnlab.mimic3 RAW OUT``. The result equals what mimic3-benchmarks' five scripts and its
``split_train_val`` make (Harutyunyan et al. 2019, at commit :data:`~stnlab.mimic3.split.COMMIT`,
with pandas 1.5.3), to the byte; the order of the training list alone is ours, since theirs is the
machine's.

``tables`` reads the tables, ``cohort`` says which stays count and how they ended, ``events`` scans
the large tables once and lays what is needed on the disk by subject, ``value_types`` knows whether
a subject's values are numbers or texts, ``cleaning`` what a value means, ``episodes`` makes the
files, subjects at a time, and ``build`` does it all. ``verify`` holds a folder against the
benchmark's list of MD5s.
"""
