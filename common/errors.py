"""Errors that tell the reader what happened, why, and how to fix it.

Subclasses are named by what the reader should do, and each carries the exit code that the command
line returns for it. Arguments are positional inside ``args`` so that an error survives the trip
between Ray processes.
"""

from typing import ClassVar


class ApexManiaError(Exception):
    """A failure with three lines for a person: what (with the value), why, and a fix to paste."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, why: str, fix: str) -> None:
        super().__init__(what, why, fix)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        """Returns the three lines."""
        return f"{self.what}\n  why: {self.why}\n  fix: {self.fix}"


class ConfigError(ApexManiaError):
    """The command line or the configuration asks for something impossible."""

    exit_code = 2


class MachineError(ApexManiaError):
    """This machine lacks something: a port, a program, disk space, permission."""

    exit_code = 3


class UnreachableError(ApexManiaError):
    """A server did not answer; trying again later may help."""

    exit_code = 4


class MismatchError(ApexManiaError):
    """Two parties disagree: contract fingerprint, schema version, actor name, password."""

    exit_code = 5


class CorruptError(ApexManiaError):
    """Data failed its check: a checkpoint, a segment, a snapshot."""

    exit_code = 5
