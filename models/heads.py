"""What a network's logits are about, and which of transformers' classes gives them."""

from typing import Any

from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, PretrainedConfig

ONE_CLASS, ANY_LABEL, NUMBER = "single_label_classification", "multi_label_classification", "regression"
TAGS = "token_classification"


def auto_model(problem: str) -> Any:
    """The class that makes models for a problem."""
    return AutoModelForTokenClassification if problem == TAGS else AutoModelForSequenceClassification


def problem_of(config: PretrainedConfig) -> str:
    """What a saved model's logits are about."""
    if has_head(config, TAGS):
        return TAGS
    return config.problem_type or ONE_CLASS


def other_head(config: PretrainedConfig, problem: str) -> str | None:
    """The class of another head that the checkpoint was saved with, or the other problem of one of the same class."""
    if has_head(config, problem):
        return None if config.problem_type in (None, problem) else config.problem_type
    heads = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")
    return next((name for name in config.architectures or [] if name.endswith(heads)), None)


def has_head(config: PretrainedConfig, problem: str) -> bool:
    """Whether the checkpoint of this config says that it was saved with a head for a problem."""
    head = "ForTokenClassification" if problem == TAGS else "ForSequenceClassification"
    return any(head in name for name in config.architectures or [])
