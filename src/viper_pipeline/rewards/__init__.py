"""Rewards: from frames to one number per transition; and the exploration bonuses that are added to it."""
