"""Paired training audio, rendered: the same score on many patches, many scores on the same patch."""
