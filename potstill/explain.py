"""Where each value of a config came from: file and line, or the command line."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

WIDEST = 80


def explain(config: DictConfig, overrides: list[str]) -> str:
    """Every resolved value on a line, with its place."""
    places = places_of("train", overrides)
    values = leaves(OmegaConf.to_container(config, resolve=True))
    lines = [(f"{key}: {value}", place_of(key, places)) for key, value in values]
    width = min(max(len(text) for text, _ in lines), WIDEST)
    return "\n".join(f"{text:{width}}  {place}" for text, place in lines)


def places_of(name: str, overrides: list[str]) -> dict[str, str]:
    """Key -> place, the last one to set it: later files of the defaults list, then the command line.

    Only to be called inside a Hydra application.
    """
    loader = GlobalHydra.instance().config_loader()
    folder = next(Path(source.path) for source in loader.get_sources() if source.provider == "main")
    defaults = loader.compute_defaults_list(name, overrides, RunMode.RUN)
    places: dict[str, str] = {}
    for entry in defaults.defaults:
        path = folder / f"{entry.config_path}.yaml"
        if path.is_file():
            for key, line in lines_of(path):
                places[_join(entry.package or "", key)] = f"{folder.name}/{entry.config_path}.yaml:{line}"
    for override in defaults.config_overrides:
        places[override.key_or_group] = f"command line: {override.input_line}"
    return places


def place_of(key: str, places: Mapping[str, str]) -> str:
    """The place of a key, or of the nearest one that it lies under."""
    while key and key not in places:
        key = key.rpartition(".")[0]
    return places.get(key, "")


def lines_of(path: Path) -> Iterator[tuple[str, int]]:
    """The keys of a yaml file, joined by dots, with their lines; of one without keys the place of that."""
    node = yaml.compose(path.read_text(encoding="utf-8"))
    if node is not None:
        yield from _walk(node, "") if node.value else [("", node.start_mark.line + 1)]


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings, by dotted key."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, _join(key, str(name)))
    else:
        yield key, value


def _walk(node: yaml.Node, key: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            inner = _join(key, name.value)
            yield inner, name.start_mark.line + 1
            yield from _walk(value, inner)


def _join(key: str, name: str) -> str:
    return ".".join(filter(None, (key, name)))
