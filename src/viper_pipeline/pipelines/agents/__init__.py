"""From a reward to agents."""
