"""What nibble's errors are in Python: each also the built-in exception that a caller of its kind expects."""

from __future__ import annotations


class Error(Exception):
    """The one exception of the library. `code` names the rule that was broken ("shape_mismatch")."""

    code = "invalid_argument"


class ArgumentError(Error, ValueError):
    """An argument outside its stated domain, shapes or devices that do not fit each other, a damaged file."""


class DTypeError(Error, TypeError):
    """A dtype that the operation does not take."""

    code = "dtype_mismatch"


class OutOfRangeError(Error, IndexError):
    """An index outside its axis."""

    code = "out_of_range"


class UnsupportedError(Error, NotImplementedError):
    """Well formed, but not something this version computes or reads."""

    code = "unsupported"


class ForbiddenError(Error, RuntimeError):
    """Would decode, copy or move data while the options in force forbid it; or the device is gone."""


class FileError(Error, OSError):
    """The operating system refused."""

    code = "io_error"


class OutOfMemoryError(Error, MemoryError):
    """Host or device memory is exhausted."""

    code = "out_of_memory"


_CLASSES: dict[str, type[Error]] = {
    "dtype_mismatch": DTypeError,
    "out_of_range": OutOfRangeError,
    "unsupported": UnsupportedError,
    "fallback_forbidden": ForbiddenError,
    "transfer_forbidden": ForbiddenError,
    "device_lost": ForbiddenError,
    "io_error": FileError,
    "out_of_memory": OutOfMemoryError,
}


def error_of(code: str, text: str) -> Error:
    error = _CLASSES.get(code, ArgumentError)(text)
    error.code = code
    return error
