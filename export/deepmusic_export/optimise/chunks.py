"""Chunks of a long recording: where they lie, and how what was found for them is joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Span(NamedTuple):
    """A chunk, in whatever unit the recording is counted in."""

    first: int
    last: int
    """One behind the end."""


def chunk_spans(total: int, length: int, overlap: int) -> list[Span]:
    """Chunks of equal length that overlap and together cover everything; the last one is as long as what remains.

    A remainder no longer than the overlap belongs to the chunk before it.

    Args:
        total: What is covered, 1 or more.
        length: Of a chunk.
        overlap: Of two chunks, at most half a length.
    """
    spans: list[Span] = []
    first = 0
    while True:
        if total - first <= length + overlap:
            return [*spans, Span(first, total)]
        spans.append(Span(first, first + length))
        first += length - overlap


def joined_fields(fields: Sequence[np.ndarray | None], spans: Sequence[Span]) -> np.ndarray:
    """One field out of those of the chunks, along their first axis, on straight lines over the overlaps.

    The recording itself is then played once through the joined field, so nothing is added up that could cancel: two
    fields in dB are mixed, not two sounds.

    Args:
        fields: (length of the span, ...) each; None where a chunk was not reached, which is a field of zeros.
        spans: Where they lie.
    """
    shape = next(field.shape[1:] for field in fields if field is not None)
    joined = np.zeros((spans[-1].last, *shape), np.float32)
    for field, share, span in zip(fields, _shares(spans), spans, strict=True):
        if field is not None:
            joined[span.first : span.last] += field * share.astype(np.float32).reshape(-1, *(1,) * len(shape))
    return joined


def joined_audio(parts: Sequence[np.ndarray], spans: Sequence[Span]) -> np.ndarray:
    """One sound out of those of the chunks, with equal-power crossfades, since their phases have nothing in common.

    Args:
        parts: (channels, length of the span) each, float32.
        spans: Where they lie, in samples.
    """
    joined = np.zeros((parts[0].shape[0], spans[-1].last), np.float32)
    for part, share, span in zip(parts, _shares(spans), spans, strict=True):
        joined[:, span.first : span.last] += part * np.sin(np.pi / 2 * share).astype(np.float32)
    return joined


def _shares(spans: Sequence[Span]) -> list[np.ndarray]:
    """How much every chunk counts, (length of the span,): from 0 to 1 over an overlap, in steps that miss both ends."""
    shares = [np.ones(span.last - span.first) for span in spans]
    for before, after, left, right in zip(shares, shares[1:], spans, spans[1:], strict=False):
        overlap = left.last - right.first
        rise = (np.arange(overlap) + 0.5) / overlap
        after[:overlap] *= rise
        before[len(before) - overlap :] *= 1 - rise
    return shares
