"""What a profile costs, before any of it is run."""
