"""The benchmark itself, and counts that guard speed without measuring time."""
