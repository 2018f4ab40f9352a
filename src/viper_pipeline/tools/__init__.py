"""Beside the graph: what a profile costs on a machine, and single trainings for a debugger."""
