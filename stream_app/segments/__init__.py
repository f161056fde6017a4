"""Segments: the model, its snapshots, and who belongs where."""
