"""From simulators to expert sets."""
