"""Speech, spoken by the program espeak-ng."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import soundfile

#: The program that speaks.
SPEAKER = "espeak-ng"


def speak(
    text: str, *, voice: str, pitch: int, words_a_minute: int, is_on_one_tone: bool = False
) -> tuple[np.ndarray, int]:
    """Has a text spoken.

    Args:
        text: What to say.
        voice: A voice of espeak-ng, with its variant: `en-gb+f3`.
        pitch: espeak-ng's own measure, 0 to 99.
        words_a_minute: How fast.
        is_on_one_tone: Whether the voice neither rises nor falls.

    Returns:
        float32 (samples,) and its rate in Hz.

    Raises:
        FileNotFoundError: The program is missing.
        RuntimeError: It failed; the message has its own words.
    """
    plain = escape(text)
    marked = f'<prosody range="0%">{plain}</prosody>' if is_on_one_tone else plain
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = [SPEAKER, "-m", "-z", "-v", voice, "-p", str(pitch), "-s", str(words_a_minute), "-w", str(path)]
        try:
            subprocess.run([*command, marked], check=True, capture_output=True, timeout=60)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"expected the program {SPEAKER}, found none; install the package espeak-ng"
            ) from error
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"{SPEAKER} could not speak: {error.stderr[-300:]!r}") from error
        audio, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return audio.mean(axis=1), rate_hz
