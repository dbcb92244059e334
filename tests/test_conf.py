"""Every shipped config composes, names things that exist, and gives them arguments that they take."""

import inspect
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf

CONF = Path(__file__).parent.parent / "conf"
BASES = {"data/text", "teacher/base"}
CHOICES = sorted(str(path.relative_to(CONF).with_suffix("")) for path in CONF.glob("*/*.yaml"))
NEEDED = {
    "scheme/codistillation_apart": ["scheme.folder=a", "scheme.name=a", "scheme.others=[b]"],
    "data/files": ["data.train=a.csv"],
    "teacher/local": ["teacher.path=a"],
    "callbacks/pruning": ["callbacks.pruning.storage=sqlite:///a.db"],
}


def composed(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides=["run_dir=runs", *overrides])


def targets(node):
    """Every mapping with a `_target_`."""
    if isinstance(node, DictConfig):
        if "_target_" in node:
            yield node
        children = [child for key in node if (child := node._get_node(key)) is not None]
    else:
        children = list(node._content) if isinstance(node, ListConfig) else []
    for child in children:
        if isinstance(child, DictConfig | ListConfig) and not child._is_none():
            yield from targets(child)


def test_the_walk_finds_the_choices():
    assert len(CHOICES) > 30
    assert set(CHOICES) >= BASES | {"kd/response", "scheme/self", "student/bilstm"}


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice not in BASES])
def test_a_choice_composes_and_binds(choice):
    group, name = choice.split("/", 1)
    config = composed(f"{group}={name}", *NEEDED.get(choice, []))
    found = list(targets(config))
    assert found
    for node in found:
        if node._target_.startswith("pytorch_lightning.loggers."):
            assert inspect.isclass(get_object(node._target_))
            continue
        given = {key for key in node if not str(key).startswith("_")}
        parameters = inspect.signature(get_object(node._target_)).parameters
        takes_anything = any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values())
        assert takes_anything or given <= set(parameters), node._target_


def test_everything_resolves():
    OmegaConf.to_container(composed(), resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_choice_says_what_it_is(choice):
    assert (CONF / f"{choice}.yaml").read_text().startswith("# ")
