"""How far two sounds are apart in timbre, whatever they play: a triplet network on MFCC.

Cifka et al. 2021 (SS-VQ-VAE) measure timbre by a network that learnt from triplets: an anchor, the same instrument
playing something else, another instrument. Its input is MFCC 2 to 13, so that level and pitch say little.
"""

from __future__ import annotations

import librosa
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Coefficients that are seen: 2 to 13 of the paper, which leaves the first, the level, out.
N_MFCC = 12
#: Range of the mel levels below the loudest, dB: what lies deeper is the noise floor of a renderer.
RANGE_DB = 60.0
#: Frames quieter than this against the loudest are rests between notes and tell no timbre, dB.
REST_DB = -40.0
#: Fewest frames of a recording: what the convolutions reach over, and four frames to take a deviation of.
MIN_FRAMES = 16


def mfcc_frames(mel_power: np.ndarray) -> np.ndarray:
    """MFCC of the frames that sound.

    Args:
        mel_power: (bands, frames), as `metrics.Recording.mel_power`.

    Returns:
        float32 (frames that sound, N_MFCC); a recording with fewer than MIN_FRAMES of them is repeated.
    """
    level_db = librosa.power_to_db(mel_power, ref=np.max, top_db=RANGE_DB)
    frame_db = librosa.power_to_db(mel_power.sum(axis=0), ref=np.max, top_db=None)
    frames = librosa.feature.mfcc(S=level_db[:, frame_db >= REST_DB], n_mfcc=N_MFCC + 1)[1:].T
    n_repeats = -(-MIN_FRAMES // len(frames))
    return np.tile(frames, (n_repeats, 1)).astype(np.float32)


class TimbreNet(nn.Module):
    """Convolutions over time, mean and deviation over the recording, one linear layer.

    Args:
        n_channels: Channels of the convolutions.
        n_embedding: Length of an embedding.
    """

    def __init__(self, n_channels: int = 64, n_embedding: int = 32) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(N_MFCC))
        self.register_buffer("deviation", torch.ones(N_MFCC))
        self.frames = nn.Sequential(
            nn.Conv1d(N_MFCC, n_channels, 5),
            nn.ReLU(),
            nn.Conv1d(n_channels, n_channels, 5),
            nn.ReLU(),
            nn.Conv1d(n_channels, n_channels, 5),
        )
        self.embed = nn.Linear(2 * n_channels, n_embedding)

    def forward(self, mfcc: Tensor) -> Tensor:
        """Embeds MFCC (batch, frames, N_MFCC): vectors (batch, n_embedding) of length one."""
        seen = self.frames(((mfcc - self.mean) / self.deviation).transpose(1, 2))
        pooled = torch.cat([seen.mean(2), torch.sqrt(seen.var(2, correction=0) + 1e-6)], dim=1)
        return F.normalize(self.embed(pooled), dim=1)


def timbre_distance(a: np.ndarray, b: np.ndarray) -> float:
    """One minus the cosine of two embeddings: 0 for the same timbre, 2 for the opposite."""
    return float(1.0 - np.dot(a, b))
