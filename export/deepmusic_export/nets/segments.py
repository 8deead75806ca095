r"""Segments: a network that hears what follows, called for overlapping runs of frames whose joins are crossfaded.

::

    frames  . . . . . . . . . . . . . . . . . . . . . . . . . .
    call 1  [ segment        |overlap|context ]                      what is handed back is as of before the overlap
    call 2                   [ segment        |overlap|context ]
                             >-------<                               here the gains of call 1 go over into those of 2

Between calls the runtime hands over a segment of new frames and gets the gains of as many frames from before: the
overlap and the context are the *look-ahead* by which gains come late. All that this takes is kept in the packed state.
So a segment network is to the runtime a stream with long steps and late gains.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepmusic_export.nets.transfer import TransferNet

#: Excitations that the network hears, and that it gives gains for.
_N_HEARD, _N_GAINS = 3, 4
#: Gains in dB that the first segment goes over from, in the silence before a stream.
_FIRST_GAIN_DB = -60.0


class SegmentNet(nn.Module):
    """A transfer network as the runtime calls it: a segment of new frames in, as many gains out, late and joined.

    The packed state (batch, n_state) holds the band magnitudes of the look-ahead, the last call's gains in the overlap,
    and the state of the network.

    Args:
        net: A network whose config has a plan.
    """

    def __init__(self, net: TransferNet) -> None:
        super().__init__()
        if net.config.segment is None:
            raise ValueError("expected a network with a plan for segments, got one of a stream")
        self.net, self.plan, self.config = net, net.config.segment, net.config
        rise = torch.arange(1, self.plan.overlap_frames + 1) / (self.plan.overlap_frames + 1)
        self.register_buffer("rise", rise.view(1, -1, 1, 1), persistent=False)

    @property
    def step_frames(self) -> int:
        """New frames of a call."""
        return self.plan.segment_frames

    @property
    def state_sizes(self) -> list[int]:
        """Sizes of the parts of the packed state."""
        n_bands = self.config.n_bands
        heard = self.plan.look_ahead_frames * _N_HEARD * n_bands
        return [heard, self.plan.overlap_frames * _N_GAINS * n_bands, sum(self.net.state_sizes)]

    def initial_state(self) -> Tensor:
        """The packed state at a stream's start (1, n_state): silence was heard."""
        heard, joined, _ = self.state_sizes
        parts = [torch.zeros(1, heard), torch.full((1, joined), _FIRST_GAIN_DB), self.net.initial_state()]
        return torch.cat([part.to(self.rise.device) for part in parts], dim=1)

    def forward(self, bands: Tensor, style: Tensor, freeze: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Runs one segment.

        Args:
            bands: Band magnitudes (batch, segment_frames, 3, bands) of content, odd, even.
            style: Style vectors (batch, n_style).
            freeze: (batch, 1); 1 holds the running statistics.
            state: Packed state (batch, n_state).

        Returns:
            Gains in dB (batch, segment_frames, 4, bands) of the frames `look_ahead_frames` before, and the state for
            the next call.
        """
        plan = self.plan
        heard, before, inner = torch.split(state, self.state_sizes, dim=1)
        n_bands = self.config.n_bands
        window = torch.cat([heard.reshape(-1, plan.look_ahead_frames, _N_HEARD, n_bands), bands], dim=1)
        gains, inner = self.net(window, style, freeze, inner)
        before = before.reshape(-1, plan.overlap_frames, _N_GAINS, n_bands)
        # A straight line in dB: both sides are estimates of one gain, and their geometric mean is as loud as either.
        joined = before + (gains[:, : plan.overlap_frames] - before) * self.rise
        following = gains[:, plan.segment_frames : plan.segment_frames + plan.overlap_frames]
        gain = torch.cat([joined, gains[:, plan.overlap_frames : plan.segment_frames]], dim=1)
        return gain, torch.cat([window[:, plan.segment_frames :].flatten(1), following.flatten(1), inner], dim=1)


def as_played(net: TransferNet) -> TransferNet | SegmentNet:
    """The network as the runtime calls it: itself for a stream."""
    return net if net.config.segment is None else SegmentNet(net).train(net.training)
