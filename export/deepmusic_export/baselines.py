"""What signal processing alone can do: every figure of the model stands beside these.

Each baseline sets the gains of the runtime's own excitation bank, so that nothing but the gains differs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from deepmusic_export.features import SignalPath

#: Gain that switches an excitation off, dB.
OFF_DB = -120.0
#: Limit of a baseline's gains, dB.
LIMIT_DB = 40.0

Baseline = Callable[[Tensor, Tensor], Tensor]


def match_eq(content_db: Tensor, style_db: Tensor) -> Tensor:
    """One static gain a band: the style's mean power over the content's."""
    difference = _power_mean_db(style_db) - _power_mean_db(content_db[..., 0, :])
    return _only(0, difference.expand(content_db.shape[0], -1))


def adain_gains(content_db: Tensor, style_db: Tensor) -> Tensor:
    """AdaIN on log-mel (Huang & Belongie 2017): mean and deviation of each band in dB become the style's."""
    return _only(0, _moments_matched(content_db[..., 0, :], style_db) - content_db[..., 0, :])


def channel_vocoder(content_db: Tensor, style_db: Tensor) -> Tensor:
    """The flattened odd excitation as the carrier, its bands driven to the AdaIN target."""
    return _only(1, _moments_matched(content_db[..., 0, :], style_db) - content_db[..., 1, :])


def vocoder_with_noise(content_db: Tensor, style_db: Tensor) -> Tensor:
    """The channel vocoder with stationary noise at the level of the style's quietest tenth."""
    gains = channel_vocoder(content_db, style_db)
    floor = torch.quantile(style_db, 0.1, dim=0)
    envelope = torch.logsumexp(content_db[..., 0, :] * (torch.log(torch.tensor(10.0)) / 10), dim=-1)
    envelope_db = envelope * (10 / torch.log(torch.tensor(10.0)))
    # White noise at the envelope's level spreads over the bands in proportion to their width: 20 dB is the mean.
    gains[:, 3] = floor - envelope_db[:, None] + 20.0
    return gains.clamp(OFF_DB, LIMIT_DB)


#: Name in the table -> gains from content levels (frames, 3, bands) and style levels (frames, bands) in dB.
BASELINES: dict[str, Baseline] = {
    "match EQ": match_eq,
    "AdaIN gains": adain_gains,
    "channel vocoder": channel_vocoder,
    "vocoder + noise": vocoder_with_noise,
}


def apply_baseline(baseline: Baseline, path: SignalPath, content: Tensor, style: Tensor) -> Tensor:
    """Runs a baseline: mono content and style (samples,) at the path's rate -> output (samples,)."""
    step = path.geometry.step_samples
    padded = torch.nn.functional.pad(content, (0, step + (-len(content)) % step))
    excitations = path.excite(padded[None], torch.Generator().manual_seed(0))
    usable = style[: len(style) // path.geometry.hop * path.geometry.hop]
    style_db = _decibels(path.band_magnitudes(path.spectra(usable[None]))[0])
    gains = baseline(_decibels(excitations.bands[0]), style_db)
    return path.resynthesise(path.shape(excitations.spectra, gains[None]))[0, : len(content)]


def _decibels(magnitude: Tensor) -> Tensor:
    return 20 * torch.log10(magnitude + 1e-5)


def _power_mean_db(level_db: Tensor) -> Tensor:
    return 10 * torch.log10(torch.pow(10.0, level_db / 10).mean(0))


def _moments_matched(content_db: Tensor, style_db: Tensor) -> Tensor:
    white = (content_db - content_db.mean(0)) / (content_db.std(0) + 1e-3)
    return white * style_db.std(0) + style_db.mean(0)


def _only(excitation: int, gain_db: Tensor) -> Tensor:
    gains = torch.full((gain_db.shape[0], 4, gain_db.shape[1]), OFF_DB)
    gains[:, excitation] = gain_db.clamp(-LIMIT_DB, LIMIT_DB)
    return gains
