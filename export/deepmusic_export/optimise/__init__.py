"""The deepart algorithm done for audio: slow, offline, one pair of recordings at a time."""
