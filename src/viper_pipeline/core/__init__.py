"""What everything stands on: configuration, errors, files, registries."""
