"""The limited process that decodes one audio file. Run as a script; it imports nothing of deepmusic.

The file comes as standard input, already opened and already recognised by the parent; the limits come as one JSON
argument. Messages leave on standard output, each a kind (one byte), a length (u32, little endian) and a payload:

    H  header: JSON with sample_rate_hz, n_channels, n_samples (as the file declares it), subtype
    B  block: interleaved float32, little endian
    E  error: JSON with reason and message; the last message
    Z  end: JSON with n_samples, the count that was decoded; the last message

No Z and no E means that the process died, which is what libsndfile's open faults look like from outside.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import Any

import soundfile

BLOCK_SAMPLES = 16_384
STDIN = 0

ALLOWED_SUBTYPES = {
    "WAV": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "AIFF": ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "FLAC": ("PCM_S8", "PCM_16", "PCM_24"),
    "OGG": ("VORBIS", "OPUS"),
    "MP3": ("MPEG_LAYER_III",),
}
SPELLINGS = {"WAVEX": "WAV", "RF64": "WAV"}
"""libsndfile's names for what is a WAV file to everyone else."""


def _send(kind: bytes, payload: bytes | memoryview) -> None:
    sys.stdout.buffer.write(struct.pack("<cI", kind, len(payload)))
    sys.stdout.buffer.write(payload)
    sys.stdout.buffer.flush()


def _send_json(kind: bytes, **fields: Any) -> None:
    _send(kind, json.dumps(fields).encode())


def _limit_process(memory_bytes: int, cpu_s: int) -> None:
    """Give up what a decoder does not need. On Windows there is no `resource`; the parent's timeout is what remains."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    if sys.platform.startswith("linux"):  # macOS refuses or ignores an address space limit
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _refusal(sound: soundfile.SoundFile, limits: dict[str, Any]) -> tuple[str, str] | None:
    """The header against the limits, before anything is allocated for the sound: (reason, message) or None."""
    container = SPELLINGS.get(sound.format or "", sound.format)
    if container != limits["container"]:
        return "UNSUPPORTED_FORMAT", f"its first bytes say {limits['container']}, its body says {container}"
    allowed_subtypes = ALLOWED_SUBTYPES[limits["container"]]
    if sound.subtype not in allowed_subtypes:
        allowed = ", ".join(allowed_subtypes)
        return "UNSUPPORTED_FORMAT", f"expected {container} with {allowed}, got {sound.subtype}"
    if not 1 <= sound.channels <= limits["max_channels"]:
        return "UNSUPPORTED_FORMAT", f"expected 1 to {limits['max_channels']} channels, got {sound.channels}"
    if not limits["min_rate_hz"] <= sound.samplerate <= limits["max_rate_hz"]:
        low, high = limits["min_rate_hz"], limits["max_rate_hz"]
        return "UNSUPPORTED_FORMAT", f"expected a sample rate of {low} to {high} Hz, got {sound.samplerate} Hz"
    if sound.frames * sound.channels > limits["max_values"]:
        hours = sound.frames / sound.samplerate / 3600
        return "AUDIO_TOO_LONG", _too_long(limits, f"{hours:.1f} hours of {sound.channels} channels")
    return None


def _too_long(limits: dict[str, Any], came: str) -> str:
    return f"expected at most {limits['max_values']} samples over all channels, got {came}"


def _decode(limits: dict[str, Any]) -> None:
    with soundfile.SoundFile(STDIN, closefd=False) as sound:
        refusal = _refusal(sound, limits)
        if refusal is not None:
            _send_json(b"E", reason=refusal[0], message=refusal[1])
            return
        promised = sound.frames
        _send_json(
            b"H",
            sample_rate_hz=sound.samplerate,
            n_channels=sound.channels,
            n_samples=promised,
            subtype=sound.subtype,
        )
        sample_bytes = 4 * sound.channels
        block = memoryview(bytearray(BLOCK_SAMPLES * sample_bytes))
        decoded = 0
        while n_samples := sound.buffer_read_into(block, dtype="float32"):
            decoded += n_samples
            if decoded * sound.channels > limits["max_values"]:
                _send_json(b"E", reason="AUDIO_TOO_LONG", message=_too_long(limits, "more than that"))
                return
            _send(b"B", block[: n_samples * sample_bytes])
        if decoded < promised:
            message = f"expected the {promised} samples that its header promises, got {decoded}"
            _send_json(b"E", reason="TRUNCATED", message=message)
            return
        _send_json(b"Z", n_samples=decoded)


def main() -> None:
    """Decode standard input under the limits of the first argument."""
    limits = json.loads(sys.argv[1])
    _limit_process(limits["memory_bytes"], limits["cpu_s"])
    try:
        _decode(limits)
    except BrokenPipeError:
        sys.stdout = None  # the parent has heard enough
    except MemoryError:
        _send_json(b"E", reason="DECODE_FAILED", message="decoding it wants more memory than a sound needs")
    except (soundfile.LibsndfileError, RuntimeError, OSError):
        _send_json(b"E", reason="DECODE_FAILED", message="its sound cannot be decoded to the end")


if __name__ == "__main__":
    main()
