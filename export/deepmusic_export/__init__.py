"""The training side: renders data, trains the networks, writes and verifies bundles."""
