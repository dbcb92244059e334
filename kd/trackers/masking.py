"""What does not leave the run folder."""

import re
from collections.abc import Mapping
from typing import Any

PASSWORD = re.compile(r"(\w://[^/\s:@]*:)[^/\s]+@")


def masked(value: Any) -> Any:
    """The same settings or text with `***` for each password in an address, as in `https://user:PASSWORD@host`."""
    if isinstance(value, str):
        return PASSWORD.sub(r"\1***@", value)
    if isinstance(value, Mapping):
        return {key: masked(item) for key, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list) else value
