"""The Faust application: the worker's shell, and every low-rate processor."""
