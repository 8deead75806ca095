"""The torch signal path against the runtime's, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deepmusic.dsp.excitation import EXCITATIONS, ExcitationBank
from deepmusic.dsp.gains import BandAnalysis, BandLayout, GainField, GainMixer
from deepmusic.dsp.noise import gaussian_noise
from deepmusic.dsp.stft import SynthesisStft
from deepmusic.dsp.windows import StftGeometry
from deepmusic_export.features import SignalPath
from tests.support import laws

N_STEPS = 12
SEED = 5

SPECTRUM_TOLERANCE = 2e-3
"""float32 transforms of 2048 samples in another order, for spectra of up to a few hundred."""

BAND_TOLERANCE = 1e-5
AUDIO_TOLERANCE = 1e-5
"""float32 rounding of a sum of four excitations that peaks at about 2."""

PERFECT_TOLERANCE = 2e-6
"""Unit gains: the windows reconstruct to -129 dB in float32 (measured)."""


def stream(geometry: StftGeometry, seed: int = 0) -> np.ndarray:
    return laws.music(1, N_STEPS * geometry.step_samples, geometry.sample_rate_hz, seed=seed)


def noise_of(n_samples: int) -> torch.Tensor:
    return torch.from_numpy(gaussian_noise(SEED, 0, 0, n_samples))[None]


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_excitations_and_bands_are_those_of_the_runtime(rate: int) -> None:
    path = SignalPath(rate)
    audio = stream(path.geometry)
    ours = path.excite(torch.from_numpy(audio), noise=noise_of(audio.shape[1]))
    theirs = ExcitationBank(path.geometry, 1, seed=SEED).process(audio)
    for index, name in enumerate(EXCITATIONS):
        np.testing.assert_allclose(
            ours.spectra[0, index].numpy(), theirs[index, 0], atol=SPECTRUM_TOLERANCE, err_msg=name
        )
    bands = BandAnalysis(BandLayout(), path.geometry).band_magnitudes(theirs[:3])
    np.testing.assert_allclose(ours.bands[0].numpy(), bands.transpose(1, 0, 2), atol=BAND_TOLERANCE)


@pytest.mark.parametrize("rate", [48000, 96000])
def test_gains_shape_the_sound_as_in_the_runtime(rate: int) -> None:
    path = SignalPath(rate)
    audio = stream(path.geometry)
    n_frames = N_STEPS * 4
    gain_db = np.random.default_rng(0).uniform(-40, 6, (n_frames, 4, 96)).astype(np.float32)
    excited = path.excite(torch.from_numpy(audio), noise=noise_of(audio.shape[1]))
    ours = path.resynthesise(path.shape(excited.spectra, torch.from_numpy(gain_db)[None]))[0].numpy()
    spectra = ExcitationBank(path.geometry, 1, seed=SEED).process(audio)
    gains = GainField(BandLayout(), path.geometry).bin_gains(np.ascontiguousarray(gain_db.transpose(1, 0, 2)))
    mixed = GainMixer(4, 1, n_frames, path.geometry.n_bins).mix(spectra, gains)
    theirs = SynthesisStft(path.geometry, 1).process(mixed)[0]
    delay = path.geometry.n_synthesis - path.geometry.hop
    np.testing.assert_allclose(ours[: len(theirs) - delay], theirs[delay:], atol=AUDIO_TOLERANCE)


def test_unit_gains_give_the_content_back() -> None:
    path = SignalPath(48000)
    audio = torch.from_numpy(np.concatenate([stream(path.geometry, seed) for seed in (1, 2)]))
    gain_db = torch.full((2, N_STEPS * 4, 4, 96), -300.0)
    gain_db[:, :, 0] = 0.0
    out = path.resynthesise(path.shape(path.excite(audio).spectra, gain_db))
    assert out.shape == audio.shape
    whole = audio.shape[1] - (path.geometry.n_synthesis - path.geometry.hop)
    torch.testing.assert_close(out[:, :whole], audio[:, :whole], atol=PERFECT_TOLERANCE, rtol=0)


def test_noise_follows_from_its_generator() -> None:
    path = SignalPath(48000)
    audio = torch.from_numpy(stream(path.geometry))
    first, second, other = (path.excite(audio, torch.Generator().manual_seed(s)).spectra[:, 3] for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_gradients_reach_the_gains_through_the_whole_path() -> None:
    path = SignalPath(48000)
    audio = torch.from_numpy(stream(path.geometry))
    gain_db = torch.zeros(1, N_STEPS * 4, 4, 96, requires_grad=True)
    path.resynthesise(path.shape(path.excite(audio).spectra, gain_db)).square().sum().backward()
    assert gain_db.grad is not None
    assert torch.isfinite(gain_db.grad).all()
    assert gain_db.grad.abs().amax((0, 1, 3)).gt(0).all()
