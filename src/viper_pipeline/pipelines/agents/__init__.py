"""From rewards to trained agents (paper 4.2)."""
