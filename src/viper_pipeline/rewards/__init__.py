"""Rewards: from frames to one number a transition."""
