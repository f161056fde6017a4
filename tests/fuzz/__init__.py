"""The fuzzer: hostile records through decoders, engine, messages and replay (docs/fuzzing.md)."""
