"""Training: the audio VGG19 and the transfer network."""
