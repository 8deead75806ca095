"""Ways into the program: gRPC and files, each turning its own form of audio into ours."""
