"""Agents: from a reward to behavior (paper 4.2)."""
