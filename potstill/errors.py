"""The one exception that a user may cause."""

import errno
from collections.abc import Iterable

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FULL_TEXTS = ("No space left on device", "File too large", "Disk quota exceeded", "file write failed")


class UserError(Exception):
    """Something the user can put right; its text is one line: what, where, and what to do."""

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))


def check_counts(key: str, settings: object, names: Iterable[str]) -> None:
    """Refuse settings that are no whole numbers above 0.

    Args:
        key: of the settings in the config.
        settings: have these attributes.
        names: of the attributes.

    Raises:
        UserError: the line names the key.
    """
    for name in names:
        if not isinstance(value := getattr(settings, name), int) or value < 1:
            raise UserError(f"{key}.{name}: {value!r} is not a whole number above 0")


def disk_is_full(error: BaseException | None) -> bool:
    """Whether `error`, or what it was raised from, says that a file could not grow.

    Not every library keeps the errno: torch and safetensors only quote the system's text.
    """
    while error is not None:
        if getattr(error, "errno", None) in FULL or any(text in str(error) for text in FULL_TEXTS):
            return True
        error = error.__cause__ or error.__context__
    return False
