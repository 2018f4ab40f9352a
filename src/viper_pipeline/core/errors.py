"""Errors that a user can cause and mend: one clear message each, naming the file, the field and the remedy."""


class ViperError(Exception):
    """Anything that ends a command with one message instead of a traceback."""


class BadParams(ViperError):
    """params.yaml (or a profile) says something that cannot be."""


class BadData(ViperError):
    """A file or folder of videos, codes or weights is not what it should be."""


class BadEnvironment(ViperError):
    """The machine lacks something: a GL backend, a simulator, an optional package."""
