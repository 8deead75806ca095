"""How good is it: the measures of the model card, each for one output against its oracle, its content or itself.

Audio is mono float32 (samples,) unless a function says otherwise.
"""

from __future__ import annotations

import warnings

import librosa
import mir_eval
import numpy as np
import scipy.ndimage

#: Rate at which Cifka et al. 2021 measure the log-spectral distance, Hz.
LSD_RATE_HZ = 16000
#: Rate of the chroma and onset measures, Hz.
CONTENT_RATE_HZ = 22050
#: An onset is found when it lies within this distance, seconds (MIREX onset detection).
ONSET_WINDOW_S = 0.05
#: A join is looked at within this many samples.
SEAM_REACH_SAMPLES = 4


def log_spectral_distance_db(output: np.ndarray, oracle: np.ndarray, sample_rate_hz: int, range_db: float) -> float:
    """Log-spectral distance after Cifka et al. 2021, in dB.

    Both are brought to 16 kHz and to equal power; mel power (128 bands, 2048-sample Hann window, hop 512) in dB with
    `range_db` of range below its maximum; the root of the mean square over time, then the mean over bands.

    Args:
        output: What is judged.
        oracle: What it should be, equally long.
        sample_rate_hz: Rate of both.
        range_db: 80 in the paper; with 50, added noise cannot improve the figure.
    """
    spectrograms = [_log_mel(audio, sample_rate_hz, range_db) for audio in (output, oracle)]
    difference = spectrograms[0] - spectrograms[1]
    return float(np.mean(np.sqrt(np.mean(difference**2, axis=1))))


def chroma_cosine(output: np.ndarray, content: np.ndarray, sample_rate_hz: int) -> float:
    """Cosine of whitened chroma to the content, weighted by the content's frame energy; 1 when the notes are the same.

    Whitening: the log magnitude less its mean over a third of an octave, positive part. So a change of timbre, which is
    smooth over frequency, leaves the measure alone.
    """
    a, _ = _whitened_chroma(output, sample_rate_hz)
    b, weight = _whitened_chroma(content, sample_rate_hz)
    n = min(a.shape[1], b.shape[1])
    norms = np.linalg.norm(a[:, :n], axis=0) * np.linalg.norm(b[:, :n], axis=0)
    cosine = np.sum(a[:, :n] * b[:, :n], axis=0) / (norms + 1e-9)
    weight = weight[:n] * (norms > 1e-6)
    return float(np.sum(cosine * weight) / (np.sum(weight) + 1e-12))


def onset_f1(output: np.ndarray, reference: np.ndarray, sample_rate_hz: int) -> float:
    """F-measure of the onsets of `output` against those of `reference`, within 50 ms."""
    found, expected = _onsets(output, sample_rate_hz), _onsets(reference, sample_rate_hz)
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


def _log_mel(audio: np.ndarray, sample_rate_hz: int, range_db: float) -> np.ndarray:
    audio = librosa.resample(audio, orig_sr=sample_rate_hz, target_sr=LSD_RATE_HZ, res_type="soxr_hq")
    audio = audio / (np.sqrt(np.mean(audio**2)) + np.finfo(np.float32).eps)
    return librosa.power_to_db(librosa.feature.melspectrogram(y=audio, sr=LSD_RATE_HZ), top_db=range_db)


def _whitened_chroma(audio: np.ndarray, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    audio = librosa.resample(audio, orig_sr=sample_rate_hz, target_sr=CONTENT_RATE_HZ, res_type="soxr_hq")
    magnitude = np.abs(librosa.stft(audio, n_fft=8192, hop_length=1024))
    energy = np.sqrt(np.sum(magnitude**2, axis=0))
    level = np.log1p(1000 * magnitude / (magnitude.max() + 1e-9))
    high = round(4000 / CONTENT_RATE_HZ * 8192)
    level = level[:high]
    white = np.maximum(level - scipy.ndimage.uniform_filter1d(level, 41, axis=0), 0)
    to_chroma = librosa.filters.chroma(sr=CONTENT_RATE_HZ, n_fft=8192)[:, :high]
    return to_chroma @ white, energy


def _onsets(audio: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    audio = librosa.resample(audio, orig_sr=sample_rate_hz, target_sr=CONTENT_RATE_HZ, res_type="soxr_hq")
    return librosa.onset.onset_detect(y=audio, sr=CONTENT_RATE_HZ, hop_length=256, units="time")
