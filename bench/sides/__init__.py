"""One file a side; each is a process of its own that does the work once and writes what it took."""
