"""Styles: learned from recordings, kept in a library on disk."""
