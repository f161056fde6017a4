"""How good the segments are: every figure of docs/segment-quality.md, with fixed seeds."""
