"""Agents: from a reward to behaviour (paper 4.2)."""
