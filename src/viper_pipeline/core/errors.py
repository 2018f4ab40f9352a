"""Errors that a user can cause and mend: one clear message each, naming the file, the field and the remedy."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class ViperError(Exception):
    """Anything that ends a command with one message instead of a traceback."""


class BadParams(ViperError):
    """params.yaml (or a profile) says something that cannot be."""


class BadData(ViperError):
    """A file or folder of videos, codes or weights is not what it should be."""


class BadEnvironment(ViperError):
    """The machine lacks something: a GL backend, a simulator, an optional package."""


REMEDIES = {
    errno.ENOSPC: "free some room; finished work is kept, and the same command goes on from there",
    errno.EDQUOT: "free some of your quota; finished work is kept, and the same command goes on from there",
    errno.EACCES: "change its rights, or name another place",
    errno.EPERM: "change its rights, or name another place",
    errno.EROFS: "name a place that can be written",
    errno.ENOENT: "it, or the folder it is to lie in, does not exist",
    errno.EISDIR: "name a file in it",
    errno.ENOTDIR: "a part of the path is a file",
    errno.ENAMETOOLONG: "take a shorter name",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
}
"""What to do about what the operating system refuses."""


def os_message(error: OSError) -> str:
    """One line for an error of the operating system: the file, what is wrong, and the remedy if one is known."""
    place = error.filename2 or error.filename
    place = place.decode(errors="replace") if isinstance(place, bytes) else place
    what = " ".join((error.strerror or str(error) or type(error).__name__).lower().split())
    remedy = REMEDIES.get(error.errno or 0)
    return f"{place}: {what}{'; ' + remedy if remedy else ''}" if place else f"{what}{'; ' + remedy if remedy else ''}"


@contextmanager
def naming(path: object) -> Iterator[None]:
    """Errors of the operating system in this block name a path if they name none: of a full disk it tells no file."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


class ContractError(ViperError, AssertionError):
    """A part that is plugged in (a suite, a reward, an agent ...) breaks a rule of its kind; see `testing`.

    An AssertionError as well, so that test runners report a check that failed.
    """

    def __init__(self, part: str, rule: str, found: str, remedy: str) -> None:
        """part: kind and name; rule: what must hold; found: what was seen instead; remedy: what to do."""
        super().__init__(f"{part} breaks the rule '{rule}': {found}; {remedy}")
        self.part, self.rule, self.found, self.remedy = part, rule, found, remedy
