"""Audio over OSC: blobs in, blobs out, through the same sessions as gRPC's streams."""
