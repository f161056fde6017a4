"""Rolling features per account: what they mean, how they decay, where they are kept."""
