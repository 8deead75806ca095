"""What is compared: the bundle as a stream plays it, doing nothing, and what signal processing can do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from deepmusic.audio import AudioFormat
from deepmusic.dsp.true_peak import true_peak_dbtp
from deepmusic.model.bundle import Bundle
from deepmusic.model.runtime import Precision, StyleEncoder, TransferModel
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import SessionConfig, Setting
from deepmusic.session.offline import render
from deepmusic.styles.learn import learn
from deepmusic_export.baselines import BASELINES, apply_baseline
from deepmusic_export.features import signal_path
from deepmusic_export.optimise.network import GainModel

#: Signal-to-noise ratio of the noise that the row "nothing + noise" adds, dB: noise fools the 80 dB distance.
ADDED_NOISE_DB = 50.0
#: Where the session's ceiling lies, dBTP.
CEILING_DBTP = -1.0
#: An output whose true peak is this near below the ceiling may have been turned down by it, dB.
NEAR_CEILING_DB = 0.1
#: Output gain with which the ceiling has nothing to do, unless the wet is 39 dB above full scale.
FAR_BELOW_DB = -40.0

#: Content and style, float32 (samples,), at one rate in Hz -> output of the content's length.
Method = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


class Player:
    """A bundle, played by the very session that a stream runs; calling it is a `Method`.

    Args:
        folder: Folder or zip of the bundle.
        precision: Which transfer file plays.
    """

    def __init__(self, folder: Path, precision: Precision = "float") -> None:
        bundle = Bundle.open(folder)
        self.model, self._encoder = TransferModel.load(bundle, precision=precision), StyleEncoder.load(bundle)
        self.name, self.digest, self.precision = self.model.manifest.name, bundle.digest, self.model.precision

    def __call__(self, content: np.ndarray, style: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """The content in the sound of the style."""
        return self.play(content, self.learn(style, sample_rate_hz), sample_rate_hz)

    def learn(self, style: np.ndarray, sample_rate_hz: int) -> StyleVector:
        """The style of a recording, float32 (samples,)."""
        return learn(style[None], sample_rate_hz, self._encoder)

    def play(
        self,
        content: np.ndarray,
        style: StyleVector,
        sample_rate_hz: int,
        *,
        settings: tuple[Setting, ...] = (),
        model: GainModel | None = None,
    ) -> np.ndarray:
        """The content in the sound of a style.

        Args:
            content: float32 (samples,).
            style: In the space of the bundle.
            sample_rate_hz: Rate of the content.
            settings: First values of parameters.
            model: Plays in place of the bundle's.
        """
        audio_format = AudioFormat(sample_rate_hz=sample_rate_hz, n_channels=1)
        config = SessionConfig(audio_format=audio_format, settings=settings)
        return render(config, model or self.model, style, content[None])[0]

    def ceiling_db(self, output: np.ndarray, content: np.ndarray, style: np.ndarray, sample_rate_hz: int) -> float:
        """The most that the true-peak ceiling takes from an output, in dB; 0 where it has nothing to do.

        Only an output that reaches the ceiling is played again, far below it, to see how high it would have gone.
        """
        if true_peak_dbtp(output[None], sample_rate_hz) < CEILING_DBTP - NEAR_CEILING_DB:
            return 0.0
        far_below = Setting(name="output_gain_db", value=FAR_BELOW_DB)
        low = self.play(content, self.learn(style, sample_rate_hz), sample_rate_hz, settings=(far_below,))
        return max(0.0, true_peak_dbtp(low[None], sample_rate_hz) - FAR_BELOW_DB - CEILING_DBTP)


def methods(player: Player) -> dict[str, Method]:
    """Name in the tables -> method, in the order of the tables; the bundle's own row is called `deepmusic`."""
    return {
        "nothing": lambda content, style, sample_rate_hz: content,
        "nothing + noise": _with_noise,
        **{name: _baseline(name) for name in BASELINES},
        "deepmusic": player,
    }


def _with_noise(content: np.ndarray, style: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(len(content)).astype(np.float32)
    level = np.sqrt(np.mean(content**2)) * 10 ** (-ADDED_NOISE_DB / 20)
    return content + np.float32(level) * noise


def _baseline(name: str) -> Method:
    def run(content: np.ndarray, style: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        path = signal_path(sample_rate_hz)
        with torch.no_grad():
            output = apply_baseline(BASELINES[name], path, torch.from_numpy(content), torch.from_numpy(style))
        return output.numpy()

    return run
