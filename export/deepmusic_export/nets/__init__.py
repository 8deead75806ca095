"""The networks: the VGG19 topology, streaming layers, the style encoder and the transfer network."""
