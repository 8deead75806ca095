"""Audio files: read in a limited process, turned by a session, measured, finished, written whole or not at all."""
