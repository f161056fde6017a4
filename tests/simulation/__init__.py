"""Deterministic simulation of workers, log and store under faults. See docs/simulation.md."""
