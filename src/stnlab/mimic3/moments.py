"""Moments of MIMIC-III: text to microseconds."""

from datetime import datetime, timedelta

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(text: str | None) -> int | None:
    """Since 1970-01-01, of ``2130-02-04 04:00:00`` or the like; a date alone is its midnight.

    None where there is no text, or it is no time.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            found = datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # with 4:00:00
        except ValueError:
            return None
    return None if found.tzinfo else (found - _EPOCH) // _MICROSECOND
