"""Streams: ports to Kafka, Redis and time, their adapters, the worker loop, and replay."""
