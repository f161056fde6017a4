"""The compiled extension, and that it does what Python does."""
