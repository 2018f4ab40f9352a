"""From expert sets to a reward."""
