"""Bundles: what they promise, how they are opened, run and scheduled."""
