"""The suite `tabletop`: two arms and their tasks on plain MuJoCo. See suite.py, tasks.py, arms.py."""
