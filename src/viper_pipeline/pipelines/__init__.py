"""The wiring: which stage feeds which. The only room that sees whole parameters and catalog names."""
