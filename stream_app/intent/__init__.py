"""Interest in topics, engagement and intent scores, and spikes."""
