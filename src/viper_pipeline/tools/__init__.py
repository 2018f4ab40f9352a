"""What the pipelines cost on a machine: timed probes and a table."""
