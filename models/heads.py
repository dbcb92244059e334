"""What a network's logits are about, and which of transformers' classes gives them."""

from typing import Any

from transformers import (
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PretrainedConfig,
)

ONE_CLASS, ANY_LABEL, NUMBER = "single_label_classification", "multi_label_classification", "regression"
ONE_OF_PART = "multi_task_classification"  # each text has one of the classes of its task
TAGS, SPANS, MASKED = "token_classification", "question_answering", "masked_lm"
OF_POSITIONS = frozenset({TAGS, SPANS, MASKED})  # which have logits for positions of a text
HEADS = {
    TAGS: (AutoModelForTokenClassification, "ForTokenClassification"),
    SPANS: (AutoModelForQuestionAnswering, "ForQuestionAnswering"),
    MASKED: (AutoModelForMaskedLM, "ForMaskedLM"),
}
OF_TEXTS = (AutoModelForSequenceClassification, "ForSequenceClassification")


def auto_model(problem: str) -> Any:
    """The class that makes models for a problem."""
    return HEADS.get(problem, OF_TEXTS)[0]


def saved_as(problem: str) -> str:
    """What a saved model for a problem is read as: which classes belong to which task its config does not say."""
    return ONE_CLASS if problem == ONE_OF_PART else problem


def problem_of(config: PretrainedConfig) -> str:
    """What a saved model's logits are about."""
    of_texts = config.problem_type or (NUMBER if config.num_labels == 1 else ONE_CLASS)
    return next((problem for problem in HEADS if has_head(config, problem)), of_texts)


def other_head(config: PretrainedConfig, problem: str) -> str | None:
    """The class of another head that the checkpoint was saved with, or the other problem of one of the same class.

    A head for masked words is left behind, as it is what encoders are pretrained with.
    """
    if has_head(config, problem):
        return None if config.problem_type in (None, problem) else config.problem_type
    heads = tuple(name for _, name in (OF_TEXTS, *HEADS.values()) if name != HEADS[MASKED][1])
    return next((name for name in config.architectures or [] if name.endswith(heads)), None)


def has_head(config: PretrainedConfig, problem: str) -> bool:
    """Whether the checkpoint of this config says that it was saved with a head for a problem."""
    head = HEADS.get(problem, OF_TEXTS)[1]
    return any(head in name for name in config.architectures or [])
