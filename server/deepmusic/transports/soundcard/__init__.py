"""A sound card or a JACK server: what comes in is handed over, what is handed back is played, always on time."""
