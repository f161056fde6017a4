"""Real worker processes under real faults: `make chaos`. See docs/chaos.md."""
