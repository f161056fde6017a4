"""Changes: the payloads we publish, and what moved an account."""
