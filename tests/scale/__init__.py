"""How large it may get: takeover of a large partition, and a million accounts due at once."""
