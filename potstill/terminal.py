"""What stands in a terminal, and what does not."""

import logging
import os
import sys
import warnings

import datasets
import transformers


def quiet() -> None:
    """Leave the terminal to what this run has to say."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    for name in ("pytorch_lightning", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("huggingface_hub", "pytorch_lightning.loggers", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")


def has_bars() -> bool:
    """Whether a bar that moves makes sense: not in a file or a pipe, where CI is set, or on a dumb terminal."""
    return sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
