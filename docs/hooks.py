"""Makes a page of each choice out of `conf/` and of the docstrings of what it names, without importing anything."""

import ast
import os
import re
import textwrap
from collections import ChainMap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, takewhile
from pathlib import Path

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
CONF = ROOT / "conf"
RUN = CONF / "train.yaml"
COMPLETE = {"_target_", "source", "model", "terms", "factory"}  # what a base lacks and a choice has
WIDEST = 60
Definition = ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class Key:
    """A key of a config: its value as written, the comment beside it, and the file that sets it."""

    value: str
    meaning: str
    file: Path


@dataclass(frozen=True)
class Config:
    """A file of `conf/`."""

    path: Path

    @property
    def group(self) -> str:
        """The folder, as it is written on the command line."""
        return self.path.parent.relative_to(CONF).as_posix()

    @property
    def page(self) -> str:
        """Where its page is, from the root of the site."""
        return "choices/run.md" if self.path == RUN else f"choices/{self.group}/{self.path.stem}.md"

    @property
    def package(self) -> str:
        """What stands before its keys on the command line."""
        everywhere = self.path == RUN or "@package _global_" in self.text
        return "" if everywhere else self.group.replace("/", ".") + "."

    @cached_property
    def text(self) -> str:
        """The file as it is."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def summary(self) -> str:
        """The comment at its head."""
        lines = takewhile(lambda line: line.startswith("#"), self.text.splitlines())
        return " ".join(line.lstrip("# ") for line in lines if "@package" not in line)

    @cached_property
    def defaults(self) -> list[str | dict[str, str | list[str] | None]]:
        """Its defaults list."""
        return (yaml.safe_load(self.text) or {}).get("defaults", [])

    @cached_property
    def parents(self) -> list["Config"]:
        """The files that it takes keys from, in Hydra's order; itself last, unless it says otherwise."""
        names = [entry for entry in self.defaults if isinstance(entry, str)]
        names = names if "_self_" in names else [*names, "_self_"]
        return [self if name == "_self_" else Config(self.path.with_name(f"{name}.yaml")) for name in names]

    @cached_property
    def selects(self) -> dict[str, list[str]]:
        """The choices of other groups that it makes."""
        entries = [item for entry in self.defaults if isinstance(entry, dict) for item in entry.items()]
        lists = [(group, [names] if isinstance(names, str) else names or []) for group, names in entries]
        return {group.removeprefix("override ").strip("/"): names for group, names in lists}

    @cached_property
    def keys(self) -> dict[str, Key]:
        """All keys by dotted name, those of its parents among them; a value without comment keeps the parent's."""
        keys: dict[str, Key] = {}
        for parent in self.parents:
            for name, key in self._own() if parent == self else parent.keys.items():
                keys[name] = Key(key.value, key.meaning or keys.get(name, key).meaning, key.file)
        return keys

    @property
    def is_complete(self) -> bool:
        """Whether it has what its group is about; said of everything that may set keys of any group."""
        return not self.package or bool(COMPLETE & {name.partition(".")[0] for name in self.keys})

    @property
    def targets(self) -> list[str]:
        """What it instantiates, each once."""
        return list(dict.fromkeys(key.value for name, key in self.keys.items() if name.endswith("_target_")))

    def _own(self) -> Iterator[tuple[str, Key]]:
        for name, key, value in leaves(yaml.compose(self.text)):
            if name != "defaults":
                written = self.text[value.start_mark.index : value.end_mark.index]
                yield name, Key(" ".join(written.split()) or "null", remark(self.text, key, value), self.path)


def leaves(node: yaml.Node | None, prefix: str = "") -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """The keys of a mapping that hold no mapping themselves: dotted name, key and value."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        name = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from leaves(value, f"{name}.")
        else:
            yield name, key, value


def remark(text: str, key: yaml.Node, value: yaml.Node) -> str:
    """The comment behind a value, or behind the key of a value that begins on the next line."""
    last = value if key.end_mark.line == value.start_mark.line else key
    return text[last.end_mark.index :].partition("\n")[0].partition("# ")[2].strip()


def choices() -> dict[str, list[Config]]:
    """The choices of each group; a file that others build on and that is of no use alone is none."""
    order = list(Config(RUN).selects)
    configs = [Config(path) for path in sorted(CONF.rglob("*.yaml")) if path != RUN]
    parents = {parent for config in configs for parent in config.parents if parent != config}
    listed = (config for config in configs if config not in parents or config.is_complete)
    ranked = sorted(listed, key=lambda c: (order.index(c.group) if c.group in order else len(order), c.group))
    return {group: list(members) for group, members in groupby(ranked, lambda config: config.group)}


def definition(target: str) -> tuple[str, Definition] | None:
    """The module and the syntax tree of what a dotted name stands for; None where it is not ours."""
    module, _, name = target.rpartition(".")
    folder = ROOT.joinpath(*module.split("."))
    files = (folder.with_suffix(".py"), folder / "__init__.py") if module else ()
    for node in (node for file in files if file.is_file() for node in ast.parse(file.read_text("utf-8")).body):
        if isinstance(node, Definition) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}:
            return definition(f"{node.module}.{name}")
    return None


def lineage(target: str) -> Iterator[Definition]:
    """What a dotted name stands for and the classes that it is derived from, as far as they are ours."""
    found = definition(target)
    if found:
        module, node = found
        yield node
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            yield from lineage(f"{module}.{ast.unparse(base)}")


def arguments(docstring: str) -> dict[str, str]:
    """The entries of a docstring's Args section; those that only point to a base class are left out."""
    section = re.search(r"^Args:\n((?: {4}.*\n?|\n)+)", docstring, re.MULTILINE)
    entries = re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {8}.*)*)", section.group(1) if section else "", re.MULTILINE)
    return {names: " ".join(text.split()) for names, text in entries if not text.startswith("see ")}


def part(target: str) -> str:
    """The docstring of what a config instantiates, and its arguments with those of its base classes."""
    docstrings = [ast.get_docstring(node) or "" for node in lineage(target)]
    if not docstrings:
        return f"### `{target}`\n\nFrom the library `{target.partition('.')[0]}`; see its documentation."
    text = re.split(r"^(?:Args|Raises|Returns):$", docstrings[0], flags=re.MULTILINE)[0].strip()
    described = ChainMap(*map(arguments, docstrings)).items()
    entries = "\n".join(f"- `{names}`: {meaning}" for names, meaning in described)
    return f"### `{target}`\n\n{text}\n\n{entries}".strip()


def table(header: list[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    cells = [[cell.replace("|", "&#124;") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *cells])


def keys_table(config: Config) -> str:
    """All keys of a config as they are written on the command line."""
    rows = []
    for name, key in config.keys.items():
        value = textwrap.shorten(key.value, WIDEST, placeholder=" …")
        rows.append([f"`{config.package}{name}`", f"`{value}`", key.meaning, f"`{key.file.relative_to(ROOT)}`"])
    return table(["key", "value", "meaning", "set in"], rows)


def link(config: Config, page: str) -> str:
    """The name of a choice, on a page, as a link where the choice has a page too."""
    there = os.path.relpath(config.page, os.path.dirname(page))
    return f"[`{config.path.stem}`]({there})" if config.path.is_file() else f"`{config.path.stem}`"


def selection(config: Config) -> str:
    """The choices of other groups that a config makes."""
    rows = []
    for group, names in config.selects.items():
        links = [link(Config(CONF / group / f"{name}.yaml"), config.page) for name in names]
        rows.append([f"`{group}`", ", ".join(links) or "none"])
    return table(["group", "choice"], rows)


def page_of(config: Config) -> str:
    """The page of a config."""
    choice = "" if config.path == RUN else f"{config.group}={config.path.stem}"
    needed = [f"{config.package}{name}=…" for name, key in config.keys.items() if key.value == "???"]
    command = " ".join(["python train.py", choice, *needed]).strip()
    sections = [f"# {choice or 'The run'}", config.summary, f"```sh\n{command}\n```"]
    sections += ["## Choices", selection(config)] if config.selects else []
    sections += ["## Keys", keys_table(config)] if config.keys else []
    sections += ["## Parts", *map(part, config.targets)] if config.targets else []
    return "\n\n".join([*sections, f"## `{config.path.relative_to(ROOT)}`", f"```yaml\n{config.text.strip()}\n```\n"])


def index() -> str:
    """A table a group: name, first sentence, and the classes and functions that the choice instantiates."""
    sections = ["# Choices", "Every file of `conf/` has a page. The keys of the run itself are [here](run.md)."]
    for group, configs in choices().items():
        default = ", ".join(f"`{name}`" for name in Config(RUN).selects.get(group, []))
        rows = []
        for config in configs:
            sentence = re.split(r"(?<=\.) (?=[A-Z0-9])", config.summary)[0]
            parts = ", ".join(f"`{target.rpartition('.')[2]}`" for target in config.targets)
            rows.append([link(config, "choices/index.md"), sentence, parts])
        sections += [f"## {group}", f"Default: {default or 'none'}.", table(["name", "what it is", "parts"], rows)]
    return "\n\n".join(sections) + "\n"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the choices to the navigation."""
    groups = [{group: [{one.path.stem: one.page} for one in configs]} for group, configs in choices().items()]
    config.nav = [*(config.nav or []), {"Choices": ["choices/index.md", {"run": "choices/run.md"}, *groups]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the choices and their index."""
    configs = [Config(RUN), *(choice for configs in choices().values() for choice in configs)]
    for place, content in [("choices/index.md", index()), *((one.page, page_of(one)) for one in configs)]:
        files.append(File.generated(config, place, content=content))
    return files
