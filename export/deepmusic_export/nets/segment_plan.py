"""The sizes of a segment network's calls; `segments` has the picture."""

from __future__ import annotations

from dataclasses import dataclass

#: Frames that every size of a plan is a multiple of: the network's step.
_GRAIN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPlan:
    """How a segment network goes through time, in frames; each a multiple of 4."""

    segment_frames: int = 128
    """New frames of a call: 0.68 s at 48 kHz."""
    overlap_frames: int = 16
    """Over which the gains of a call go over into those of the next: 85 ms."""
    context_frames: int = 80
    """Heard behind the overlap: 0.43 s. The convolutions reach 45 frames ahead, the statistics use all."""

    def __post_init__(self) -> None:
        sizes = (self.segment_frames, self.overlap_frames, self.context_frames)
        if any(size < _GRAIN or size % _GRAIN for size in sizes):
            raise ValueError(f"expected segment, overlap and context to be multiples of {_GRAIN} frames, got {sizes}")
        if self.look_ahead_frames >= self.segment_frames:
            raise ValueError(
                f"expected overlap and context to be shorter than a segment of {self.segment_frames} frames, "
                f"got {self.look_ahead_frames}"
            )

    @property
    def look_ahead_frames(self) -> int:
        """Frames that gains come late."""
        return self.overlap_frames + self.context_frames
