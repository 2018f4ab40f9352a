"""Errors that a user can cause and mend: one clear message each, naming the file, the field and the remedy."""


class ViperError(Exception):
    """Anything that ends a command with one message instead of a traceback."""


class BadParams(ViperError):
    """params.yaml (or a profile) says something that cannot be."""


class BadData(ViperError):
    """A file or folder of videos, codes or weights is not what it should be."""


class BadEnvironment(ViperError):
    """The machine lacks something: a GL backend, a simulator, an optional package."""


class ContractError(ViperError, AssertionError):
    """A part that is plugged in (a suite, a reward, an agent ...) breaks a rule of its kind; see `testing`.

    An AssertionError as well, so that test runners report a check that failed.
    """

    def __init__(self, part: str, rule: str, found: str, remedy: str) -> None:
        """part: kind and name; rule: what must hold; found: what was seen instead; remedy: what to do."""
        super().__init__(f"{part} breaks the rule '{rule}': {found}; {remedy}")
        self.part, self.rule, self.found, self.remedy = part, rule, found, remedy
