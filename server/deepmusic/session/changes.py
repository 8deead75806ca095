"""Changes of style and bundle: what is asked for, checked and brought to samples."""

from __future__ import annotations

from dataclasses import dataclass

from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import ModelFacts
from deepmusic.session.events import ChangeBundle, ChangeStyle, Notice, NoticeKind

STYLE_FADE_MS = 50.0
"""Crossfade of a change by default."""

SHORTEST_FADE_MS = 5.0
"""Shortest crossfade that is no click."""

LONGEST_FADE_MS = 30_000.0
"""Longest crossfade: both styles run all the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleChange:
    """A change of style, or of bundle and style, that was found good."""

    model: ModelFacts
    """The bundle that is to play."""
    vector: StyleVector
    """The style, in that bundle's space."""
    at_sample: int
    """First sample that differs."""
    fade_samples: int
    """Length of the crossfade."""


def check_change(
    event: ChangeStyle | ChangeBundle, model: ModelFacts, now: int, sample_rate_hz: int
) -> tuple[StyleChange | None, list[Notice]]:
    """Finds out whether a change can be made, and when.

    Args:
        event: What is asked for.
        model: The bundle that plays when the change is due, for a change of style alone.
        now: Next input sample: the earliest position at which a change can be exact.
        sample_rate_hz: Rate, for the fade.

    Returns:
        The change, ``None`` where it is refused; and notices about what could not be done as asked.
    """
    if isinstance(event, ChangeBundle):
        model = event.model
    if complaint := style_mismatch(event.vector, model):
        return None, [refusal(event, complaint, now)]
    notices: list[Notice] = []
    at_sample = now if event.at_sample is None else event.at_sample
    if at_sample < now:
        message = f"a change was due at sample {at_sample}, which has passed; it begins at {now}"
        notices.append(Notice(kind=NoticeKind.CONTROL_LATE, message=message, at_sample=now, name=event.vector.name))
    shortest, default, longest = (
        round(fade_ms * sample_rate_hz / 1000.0) for fade_ms in (SHORTEST_FADE_MS, STYLE_FADE_MS, LONGEST_FADE_MS)
    )
    fade = default if event.fade_samples is None else min(max(event.fade_samples, shortest), longest)
    change = StyleChange(model=model, vector=event.vector, at_sample=max(at_sample, now), fade_samples=fade)
    return change, notices


def refusal(event: ChangeStyle | ChangeBundle, why: str, now: int) -> Notice:
    """What to tell the sender of a change that is not made."""
    kind = NoticeKind.BUNDLE_REFUSED if isinstance(event, ChangeBundle) else NoticeKind.STYLE_REFUSED
    return Notice(kind=kind, message=why, at_sample=now, name=event.vector.name)


def style_mismatch(vector: StyleVector, model: ModelFacts) -> str:
    """Why a style cannot play on a bundle; empty where it can."""
    if vector.bundle_digest != model.digest:
        return (
            f"expected a style learned for bundle {model.name!r}, got {vector.name!r} of another bundle; learn it again"
        )
    if len(vector.values) != model.n_style:
        return (
            f"expected a style of {model.n_style} values, got {len(vector.values)} in {vector.name!r}; learn it again"
        )
    return ""


def lateness_mismatch(model: ModelFacts, late_frames: int) -> str:
    """Why a bundle cannot take over in a stream whose gains may be so many frames late; empty where it can."""
    if model.late_frames <= late_frames:
        return ""
    return (
        f"expected a bundle whose gains are at most {late_frames} frames late in this stream, got {model.late_frames} "
        f"from {model.name!r}; open a new stream for it"
    )
