"""The centre of deepmusic: a live session as a state machine of events, without I/O."""
