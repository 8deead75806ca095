"""Time tags: NTP's seconds since 1900 as whole numbers of 2**-32 s."""

from __future__ import annotations

_PER_SECOND = 2**32
_1970_S = 2_208_988_800
_WRAP = 2**64


def seconds_ahead(time_tag: int, wall_s: float) -> float:
    """How far ahead a time tag lies, negative for one that has passed.

    The difference is taken around the circle, so that it is right across February 2036, when NTP's count begins anew.

    Args:
        time_tag: 0 to 2**64 - 1.
        wall_s: Now, seconds since 1970.
    """
    apart = (time_tag - tag_of(wall_s)) % _WRAP
    return (apart if apart < _WRAP // 2 else apart - _WRAP) / _PER_SECOND


def tag_of(wall_s: float) -> int:
    """The time tag of a time in seconds since 1970."""
    return (round(wall_s * _PER_SECOND) + _1970_S * _PER_SECOND) % _WRAP
