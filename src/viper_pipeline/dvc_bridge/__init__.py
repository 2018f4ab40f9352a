"""Kedro <-> DVC: one graph, written once. Knows nothing of machine learning."""
