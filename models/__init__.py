"""What runs. Importing it registers every student of this folder with transformers' Auto classes."""

import importlib
import pkgutil

for module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{module.name}")
