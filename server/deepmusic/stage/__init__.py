"""What happens on a stage, without I/O: the beat, cues, receipts of streams and replay. Time is a sample position."""
