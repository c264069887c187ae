"""Date literals of SOQL (LAST_N_DAYS:7 and the like) -> ranges of days and moments."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sandbox.salesforce.values import stamp

UNITS = "(DAYS|WEEKS|MONTHS|QUARTERS|YEARS)"
N_WORD = re.compile(rf"(LAST|NEXT)_N_{UNITS}:(\d+)|N_{UNITS}_AGO:(\d+)")
ONE = re.compile(r"(LAST|THIS|NEXT)_(?:FISCAL_)?(WEEK|MONTH|QUARTER|YEAR)")
DAYS = {"YESTERDAY": -1, "TODAY": 0, "TOMORROW": 1}


def zone_of(name: str | None) -> ZoneInfo:
    """The user's time zone; UTC when unset or unknown."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError):
        return ZoneInfo("UTC")


def _first(day: date, unit: str) -> date:
    if unit == "WEEK":
        return day - timedelta(days=(day.weekday() + 1) % 7)  # weeks begin on Sunday
    if unit == "MONTH":
        return day.replace(day=1)
    if unit == "QUARTER":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    if unit == "YEAR":
        return day.replace(month=1, day=1)
    return day


def _plus(day: date, unit: str, count: int) -> date:
    if unit in ("DAY", "WEEK"):
        return day + timedelta(days=count * (7 if unit == "WEEK" else 1))
    months = day.year * 12 + day.month - 1 + count * {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit]
    return date(months // 12, months % 12 + 1, 1)


def days(word: str, today: date) -> tuple[date, date]:
    """(first day, day after the last) that a date literal means."""
    if word in DAYS:
        first = today + timedelta(days=DAYS[word])
        return first, first + timedelta(days=1)
    if word in ("LAST_90_DAYS", "NEXT_90_DAYS"):
        word = word.replace("_90_DAYS", "_N_DAYS:90")
    found = ONE.fullmatch(word)
    if found:
        which, unit = found.groups()
        start = _plus(_first(today, unit), unit, {"LAST": -1, "THIS": 0, "NEXT": 1}[which])
        return start, _plus(start, unit, 1)
    parts = N_WORD.fullmatch(word)
    if parts is None:
        raise ValueError(word)
    if parts[4]:
        unit = parts[4][:-1]
        start = _plus(_first(today, unit), unit, -int(parts[5]))
        return start, _plus(start, unit, 1)
    which, unit, count = parts[1], parts[2][:-1], int(parts[3])
    here = _first(today, unit)
    if which == "LAST":
        return _plus(here, unit, -count), here + timedelta(days=1) if unit == "DAY" else here
    after = _plus(here, unit, 1)
    return after, _plus(after, unit, count)


def bounds(word: str, now: datetime, zone: ZoneInfo, with_time: bool) -> tuple[str, str]:
    """The range in stored form: dates, or moments at the user's midnights."""
    start, end = days(word, now.astimezone(zone).date())
    if not with_time:
        return start.isoformat(), end.isoformat()
    return tuple(stamp(datetime.combine(day, time(), zone).astimezone(UTC)) for day in (start, end))  # type: ignore[return-value]
