"""Videos: the HDF5 store, importers, curation, clips."""
