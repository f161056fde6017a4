"""The ports to the world (event log, state store, clock) and their adapters."""
