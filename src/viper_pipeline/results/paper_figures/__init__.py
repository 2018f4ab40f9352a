"""Every figure and table of the paper, drawn from whatever has been run; see registry.py for the list."""
