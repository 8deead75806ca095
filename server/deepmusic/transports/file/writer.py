"""Write an audio file so that it appears whole or not at all.

The sound goes into a hidden file beside the target; `commit` brings it to the disk and renames it. Everything else,
an exception or a signal among it, removes it.
"""

from __future__ import annotations

import contextlib
import enum
import os
import secrets
import weakref
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile

from deepmusic.audio import Audio
from deepmusic.errors import RequestError, StorageFull, UnsupportedFormat

_MAX_CLASSIC_WAV_BYTES = (1 << 32) - (1 << 16)
"""Beyond this the 32-bit lengths of a WAV file overflow, and its 64-bit form RF64 (EBU Tech 3306) is written."""

_VORBIS_COMPRESSION = 0.3
"""libsndfile's scale, 0 the best; 0.3 is Vorbis' quality 7, about 224 kbit/s for stereo."""

_PCM_24_STEPS = 1 << 23


class Encoding(enum.Enum):
    """What can be written. The value is libsndfile's (format, subtype)."""

    WAV_24 = ("WAV", "PCM_24")
    WAV_FLOAT = ("WAV", "FLOAT")
    FLAC_24 = ("FLAC", "PCM_24")
    OGG_VORBIS = ("OGG", "VORBIS")

    @property
    def is_lossy(self) -> bool:
        """True where what is read back differs by more than a rounding step."""
        return self is Encoding.OGG_VORBIS


_ENCODING_BY_SUFFIX = {".wav": Encoding.WAV_24, ".flac": Encoding.FLAC_24, ".ogg": Encoding.OGG_VORBIS}


def encoding_for(path: str | os.PathLike[str], *, as_float: bool = False) -> Encoding:
    """The encoding that a file's name asks for.

    Args:
        path: a name that ends in .wav, .flac or .ogg.
        as_float: float32 samples, as the session made them; only .wav can hold them.

    Raises:
        RequestError: the name ends in something else.
    """
    suffix = Path(path).suffix.lower()
    if as_float:
        if suffix != ".wav":
            raise RequestError(f"{path}: expected a name that ends in .wav for float32, got '{suffix}'; rename it")
        return Encoding.WAV_FLOAT
    if suffix not in _ENCODING_BY_SUFFIX:
        raise RequestError(f"{path}: expected a name that ends in .wav, .flac or .ogg, got '{suffix}'; rename it")
    return _ENCODING_BY_SUFFIX[suffix]


def check_output(output: str | os.PathLike[str], *inputs: str | os.PathLike[str]) -> None:
    """Refuses an output that is a folder, or one of the inputs by any name: what it was made of would be gone.

    Args:
        output: where a file is to appear.
        inputs: what it is made of; those that are not there count for nothing.

    Raises:
        RequestError: it is one of these.
    """
    if Path(output).is_dir():
        raise RequestError(
            f"{output}: expected a file for the output, found a folder of that name; choose another name"
        )
    for path in map(Path, inputs):
        if Path(output).exists() and path.exists() and path.samefile(output):
            raise RequestError(f"{output}: expected another file than the inputs for the output; choose another name")


class AudioWriter:
    """A new audio file, in a `with` statement that discards it unless `commit` was called.

    Args:
        path: where it is to appear; what stands there is replaced at `commit`.
        encoding: how it is written.
        sample_rate_hz: Hz.
        n_channels: 1 to 8.
        n_samples: its length if known, for the choice between WAV and RF64.

    Raises:
        RequestError: the folder is not there or may not be written to.
        UnsupportedFormat: this encoding cannot hold this rate or channel count.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        encoding: Encoding,
        sample_rate_hz: int,
        n_channels: int,
        n_samples: int = 0,
    ) -> None:
        self.path = Path(path)
        self._encoding = encoding
        self._block_samples = sample_rate_hz  # one call of 60 s to the Vorbis encoder ended the interpreter (measured)
        self.unfinished_path = unfinished_beside(self.path)
        container, subtype = encoding.value
        if container == "WAV" and n_samples * n_channels * 4 > _MAX_CLASSIC_WAV_BYTES:
            container = "RF64"
        # A signal may end the work before the `with` statement is entered: then this tidies up, at the latest at exit.
        self._remove = weakref.finalize(self, self.unfinished_path.unlink, missing_ok=True)
        try:
            self.unfinished_path.touch(exist_ok=False)
        except OSError as error:
            self._remove.detach()
            raise _no_such_folder(self.path) from error
        try:
            self._file = soundfile.SoundFile(
                self.unfinished_path,
                "w",
                samplerate=sample_rate_hz,
                channels=n_channels,
                format=container,
                subtype=subtype,
                compression_level=_VORBIS_COMPRESSION if encoding.is_lossy else None,
            )
        except soundfile.LibsndfileError as error:
            self._discard()
            raise UnsupportedFormat(
                f"{self.path}: {encoding.name} cannot hold {n_channels} channels at {sample_rate_hz} Hz; "
                "write a .wav file instead"
            ) from error

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def write(self, block: Audio) -> None:
        """Append a block, float32 `(channels, samples)`, of any length. 24-bit encodings clip at full scale.

        Raises:
            StorageFull: the disk did not take it all.
        """
        for start in range(0, block.shape[1], self._block_samples):
            part = block[:, start : start + self._block_samples].T
            before = self._file.frames
            try:
                self._file.write(_as_pcm_24(part) if self._is_24_bit else np.ascontiguousarray(part))
            except (soundfile.LibsndfileError, AssertionError, OSError) as error:
                raise self._full() from error
            if self._file.frames - before < part.shape[0]:
                raise self._full()

    def finish(self) -> Path:
        """Close the file and bring it to the disk, still under its hidden name, and return that name.

        Raises:
            StorageFull: the disk did not take it all.
        """
        if not self._file.closed:
            try:
                self._file.close()
                _to_disk(self.unfinished_path)
            except (soundfile.LibsndfileError, OSError) as error:
                raise self._full() from error
        return self.unfinished_path

    def commit(self) -> None:
        """Finish the file and let it appear under its own name.

        Raises:
            StorageFull: the disk did not take it all.
            RequestError: the name cannot be replaced, a folder stands there for instance.
        """
        self.finish()
        try:
            self.unfinished_path.replace(self.path)
        except OSError as error:
            raise RequestError(f"{self.path}: cannot be replaced; choose another name") from error
        if os.name == "posix":
            _to_disk(self.path.parent)

    @property
    def _is_24_bit(self) -> bool:
        return self._encoding in (Encoding.WAV_24, Encoding.FLAC_24)

    def _full(self) -> StorageFull:
        return StorageFull(f"{self.path}: expected room for the whole file, but the disk is full; free some first")

    def _discard(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None and not file.closed:
            with contextlib.suppress(soundfile.LibsndfileError):  # it is removed in the next line
                file.close()
        self._remove()


def unfinished_beside(path: Path) -> Path:
    """A hidden, unused name in the folder of `path`: on the same disk, so that a rename is atomic.

    Raises:
        RequestError: the folder is not there.
    """
    if not path.parent.is_dir():
        raise _no_such_folder(path)
    return path.parent / f".{path.name[:64]}.{secrets.token_hex(4)}.part"


def _no_such_folder(path: Path) -> RequestError:
    return RequestError(f"{path}: expected a folder that may be written to, '{path.parent}' is none; make it first")


def _as_pcm_24(part: Audio) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Round to 24 bits in the upper part of an int32.

    libsndfile would scale by 2^23 - 1 and so move the samples of a 16- or 24-bit original; this keeps them bit for bit.
    """
    steps = np.rint(part.astype(np.float64) * _PCM_24_STEPS)
    return np.clip(steps, -_PCM_24_STEPS, _PCM_24_STEPS - 1).astype(np.int32) << 8


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
