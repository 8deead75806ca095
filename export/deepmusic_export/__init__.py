"""The torch side of deepmusic: renders, trains, exports and evaluates bundles."""
