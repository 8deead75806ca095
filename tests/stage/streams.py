"""A stream without sound: it is where its clock says, and keeps what it is offered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from deepmusic.audio import AudioFormat
from deepmusic.errors import StyleNotFound
from deepmusic.model.style_share import StyleShare
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.events import ChangeStyle, Control


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeFacts:
    bundle_digest: str = "d" * 64


@dataclass(eq=False, kw_only=True)
class FakeStream:
    """Sample 0 comes in at ``began_s``."""

    rate_hz: int = 48000
    began_s: float = 100.0
    speed: float = 1.0
    is_live: bool = True
    room: int = 100
    facts: FakeFacts = field(default_factory=FakeFacts)
    offered: list[Control | ChangeStyle] = field(default_factory=list[Control | ChangeStyle])

    @property
    def audio_format(self) -> AudioFormat:
        return AudioFormat(sample_rate_hz=self.rate_hz, n_channels=2)

    def position_at(self, at_s: float) -> int | None:
        return round((at_s - self.began_s) * self.rate_hz * self.speed) if self.is_live else None

    def offer(self, event: Control | ChangeStyle) -> bool:
        if len(self.offered) >= self.room:
            return False
        self.offered.append(event)
        return True

    def style(self, styles: Sequence[StyleShare]) -> StyleVector:
        if any(share.name == "nobody" for share in styles):
            raise StyleNotFound("no style is named 'nobody'")
        name = " + ".join(share.name for share in styles)
        return StyleVector(values=np.zeros(4, np.float32), bundle_digest=self.facts.bundle_digest, name=name)
