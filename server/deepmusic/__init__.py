"""Neural style transfer of audio, live."""

__version__ = "0.1.0"
