from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)

from models.heads import ANY_LABEL, MASKED, NUMBER, ONE_CLASS, SPANS, TAGS, auto_model, has_head, other_head, problem_of

SIZES = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


def test_the_class_that_makes_a_model():
    own = {TAGS: BertForTokenClassification, SPANS: BertForQuestionAnswering, MASKED: BertForMaskedLM}
    for problem, kind in own.items():
        assert isinstance(auto_model(problem).from_config(BertConfig(**SIZES)), kind)
    for problem in (ONE_CLASS, ANY_LABEL, NUMBER):
        assert isinstance(auto_model(problem).from_config(BertConfig(**SIZES)), BertForSequenceClassification)


def test_what_a_saved_model_is_for():
    tagger = BertConfig(architectures=["BertForTokenClassification"])
    assert problem_of(tagger) == TAGS
    assert has_head(tagger, TAGS)
    assert not has_head(tagger, ONE_CLASS)
    assert problem_of(BertConfig(architectures=["BertForSequenceClassification"])) == ONE_CLASS
    assert problem_of(BertConfig(architectures=["BertForQuestionAnswering"])) == SPANS
    assert problem_of(BertConfig(architectures=["BertForMaskedLM"])) == MASKED
    assert problem_of(BertConfig(num_labels=1)) == NUMBER
    assert problem_of(BertConfig(problem_type=ANY_LABEL, num_labels=1)) == ANY_LABEL
    assert not has_head(BertConfig(architectures=["BertModel"]), ONE_CLASS)


def test_a_head_for_another_task_is_known():
    def config(*architectures, **options):
        return BertConfig(architectures=list(architectures), **options)

    assert other_head(config("BertForTokenClassification"), ONE_CLASS) == "BertForTokenClassification"
    assert other_head(config("BertForQuestionAnswering"), TAGS) == "BertForQuestionAnswering"
    several = config("BertForSequenceClassification", problem_type=ANY_LABEL)
    assert other_head(several, ONE_CLASS) == ANY_LABEL
    assert other_head(several, ANY_LABEL) is None
    for name in ("BertForSequenceClassification", "BertForMaskedLM", "BertForPreTraining", "BertModel"):
        assert other_head(config(name), ONE_CLASS) is None
