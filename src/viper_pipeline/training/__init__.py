"""Trainings: settings, the loop, checkpoints, artifacts, and progress."""
