"""Events: the input types, decoding and validation, and the CloudEvents envelope."""
