"""The demo: the real worker on a log and a store in memory, fed with synthetic traffic."""
