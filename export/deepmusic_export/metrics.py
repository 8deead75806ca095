"""How good is it: the measures of the model card, each for one output against its oracle, its content or itself.

Audio is mono float32 (samples,). What is compared more than once is a `Recording`, which hears itself only once.
"""

from __future__ import annotations

import warnings
from functools import cached_property

import librosa
import mir_eval
import numpy as np
import scipy.ndimage

from deepmusic.dsp.loudness import integrated_loudness_lufs

#: Rate at which Cifka et al. 2021 measure the log-spectral distance, Hz.
LSD_RATE_HZ = 16000
#: Rate of the chroma and onset measures, Hz.
CONTENT_RATE_HZ = 22050
#: Transform of the chroma measure at that rate, 372 ms.
CHROMA_N_FFT = 8192
#: An onset is found when it lies within this distance, seconds (MIREX onset detection).
ONSET_WINDOW_S = 0.05
#: A join is looked at within this many samples.
SEAM_REACH_SAMPLES = 4


class Recording:
    """Audio and what the measures hear in it, worked out when first asked for.

    Args:
        audio: float32 (samples,).
        sample_rate_hz: Its rate.
    """

    def __init__(self, audio: np.ndarray, sample_rate_hz: int) -> None:
        self.audio, self.sample_rate_hz = audio, sample_rate_hz

    @cached_property
    def mel_power(self) -> np.ndarray:
        """Mel power (128, frames) of the audio at 16 kHz and unit power, 2048-sample Hann window, hop 512."""
        audio = self._at(LSD_RATE_HZ)
        audio = audio / (np.sqrt(np.mean(audio**2)) + np.finfo(np.float32).eps)
        return librosa.feature.melspectrogram(y=audio, sr=LSD_RATE_HZ)

    @cached_property
    def onsets_s(self) -> np.ndarray:
        """Times of the onsets in seconds."""
        audio = self._at(CONTENT_RATE_HZ)
        return librosa.onset.onset_detect(y=audio, sr=CONTENT_RATE_HZ, hop_length=256, units="time")

    @cached_property
    def loudness_lufs(self) -> float:
        """Integrated loudness after BS.1770-4."""
        return integrated_loudness_lufs(self.audio[None], self.sample_rate_hz)

    @cached_property
    def chroma(self) -> np.ndarray:
        """Whitened chroma (12, frames): the log magnitude less its mean over 110 Hz, positive part, up to 4 kHz.

        A change of timbre, which is smooth over frequency, leaves it alone.
        """
        level = np.log1p(1000 * self._magnitude / (self._magnitude.max() + 1e-9))
        n_bins = round(4000 / CONTENT_RATE_HZ * CHROMA_N_FFT)
        level = level[:n_bins]
        white = np.maximum(level - scipy.ndimage.uniform_filter1d(level, 41, axis=0), 0)
        return librosa.filters.chroma(sr=CONTENT_RATE_HZ, n_fft=CHROMA_N_FFT)[:, :n_bins] @ white

    @cached_property
    def energy(self) -> np.ndarray:
        """Root of the energy of each frame of `chroma`."""
        return np.sqrt(np.sum(self._magnitude**2, axis=0))

    @cached_property
    def _magnitude(self) -> np.ndarray:
        return np.abs(librosa.stft(self._at(CONTENT_RATE_HZ), n_fft=CHROMA_N_FFT, hop_length=1024))

    def _at(self, rate_hz: int) -> np.ndarray:
        return librosa.resample(self.audio, orig_sr=self.sample_rate_hz, target_sr=rate_hz, res_type="soxr_hq")


def log_spectral_distance_db(output: Recording, oracle: Recording, range_db: float) -> float:
    """Log-spectral distance after Cifka et al. 2021, in dB.

    Mel power of both in dB with `range_db` of range below its maximum; the root of the mean square over time, then the
    mean over bands.

    Args:
        output: What is judged.
        oracle: What it should be, equally long.
        range_db: 80 in the paper; with 50, added noise cannot improve the figure.
    """
    levels = [librosa.power_to_db(recording.mel_power, top_db=range_db) for recording in (output, oracle)]
    return float(np.mean(np.sqrt(np.mean((levels[0] - levels[1]) ** 2, axis=1))))


def chroma_cosine(output: Recording, content: Recording) -> float:
    """Cosine of whitened chroma to the content, weighted by the content's level; 1 when the notes are the same."""
    a, b = output.chroma, content.chroma
    n = min(a.shape[1], b.shape[1])
    norms = np.linalg.norm(a[:, :n], axis=0) * np.linalg.norm(b[:, :n], axis=0)
    cosine = np.sum(a[:, :n] * b[:, :n], axis=0) / (norms + 1e-9)
    weight = content.energy[:n] * (norms > 1e-6)
    return float(np.sum(cosine * weight) / (np.sum(weight) + 1e-12))


def onset_f1(output: Recording, reference: Recording) -> float:
    """F-measure of the onsets of `output` against those of `reference`, within 50 ms."""
    found, expected = output.onsets_s, reference.onsets_s
    if len(expected) == 0 and len(found) == 0:
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(mir_eval.onset.f_measure(expected, found, window=ONSET_WINDOW_S)[0])


def seam_ratio(audio: np.ndarray, period_samples: int, first_join: int = 0) -> float:
    """Roughness at joins over roughness half a period away; 1 when no join can be found.

    The mean over joins of the largest second difference within four samples, over the same half a period away.
    Untouched audio has 0.90 to 1.11.
    """
    bend = np.abs(np.diff(audio, 2))
    at, between = [], []
    reach = SEAM_REACH_SAMPLES
    for join in range(first_join + period_samples, len(bend) - period_samples, period_samples):
        at.append(bend[join - reach - 1 : join + reach].max())
        middle = join + period_samples // 2
        between.append(bend[middle - reach - 1 : middle + reach].max())
    return float(np.mean(at) / (np.mean(between) + 1e-12))


def signal_to_noise_db(audio: np.ndarray, reference: np.ndarray) -> float:
    """Power of `reference` over the power of the difference, in dB."""
    noise = float(np.mean((audio - reference) ** 2))
    return float(10 * np.log10((float(np.mean(reference**2)) + 1e-20) / (noise + 1e-20)))
