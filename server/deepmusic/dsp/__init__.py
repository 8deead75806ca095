"""Signal processing without I/O, threads or clock: pure functions, and processors under one contract."""
