"""Dates as people write them."""

from datetime import date

import pytest

from geohier.geo.dates import read_date


@pytest.mark.parametrize("given", ["2016-06-00", "2016-13", "2016-02-30", "June", "20160", 16])
def test_what_is_no_date_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="is no date"):
        read_date(given)


def test_parts_of_a_date_stand_for_their_middle() -> None:
    assert [read_date(one) for one in ("2016-06", "201606", 2016, "2016-06-30")] == [
        date(2016, 6, 15),
        date(2016, 6, 15),
        date(2016, 7, 2),
        date(2016, 6, 30),
    ]
