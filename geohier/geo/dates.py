"""Dates of images: as people write them, and as a network is told of them."""

import re
from collections.abc import Iterable, Sequence
from datetime import date

CHANNELS = 2
"""Channels that an image of a date has behind its bands: what `when` says of it."""

MIDDLE_DAY, MIDDLE_MONTH = 15, (7, 2)
"""Day that stands for a month, month and day that stand for a year: composites have no day."""

WRITTEN = re.compile(r"(\d{4})(?:-?(\d{2})(?:-?(\d{2}))?)?")


def read_date(given: object) -> date:
    """Return a date; the middle of a year or a month stands for all of it.

    Raises:
        ValueError: it is none.

    Example:
        >>> read_date("2016-06-30"), read_date(2016)
        (datetime.date(2016, 6, 30), datetime.date(2016, 7, 2))
    """
    if type(given) is date:
        return given
    found = WRITTEN.fullmatch(str(given).strip())
    if found is None:
        raise ValueError(f"{given!r:.40} is no date: give 2016-06-30, 2016-06 or 2016")
    year, month, day = (None if part is None else int(part) for part in found.groups())
    assert year is not None
    if month is None:
        month, day = MIDDLE_MONTH
    try:
        return date(year, month, MIDDLE_DAY if day is None else day)
    except ValueError as error:
        raise ValueError(f"{given!r:.40} is no date: {error}") from error


def newest_first(dates: Iterable[date]) -> tuple[date, ...]:
    """Return each date once, in the order in which stacks have them."""
    return tuple(sorted(set(dates), reverse=True))


def when(dates: Sequence[date]) -> list[tuple[int, int]]:
    """Return of each date its day of the year, from 1, and how many years it is before the newest.

    Example:
        >>> when([date(2016, 1, 10), date(2020, 12, 31)])
        [(10, 4), (366, 0)]
    """
    newest = max(one.year for one in dates)
    return [(one.timetuple().tm_yday, newest - one.year) for one in dates]


def span(dates: Sequence[date]) -> str:
    """Return dates in words.

    Example:
        >>> span([date(2020, 7, 2), date(2016, 7, 2)])
        '2 dates, 2016-07-02 to 2020-07-02'
    """
    if len(dates) == 1:
        return f"1 date, {dates[0]}"
    return f"{len(dates)} dates, {min(dates)} to {max(dates)}"
