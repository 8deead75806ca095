"""Generated from protos/deepmusic/v1 by scripts/generate; not to be edited."""
