import pytest

from kd.checks import check_values
from potstill import processor
from potstill.errors import UserError


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("optimizer.frozen=encoder", "optimizer.frozen: 'encoder' is no list, such as"),
        ("data.on_error=warn", "data.on_error: 'warn' is none of stop, skip"),
        ("baseline=maybe", "baseline: 'maybe' is neither true nor false"),
        ("optimizer.warmup=7", "optimizer.warmup: 7 is not a number from 0 to 1"),
        ("optimizer.lr=-1", "optimizer.lr: -1 is not a number from 0"),
        ("kd.label_weight=abc", "kd.label_weight: 'abc' is not a number from 0"),
        ("data.batch_size=0", "data.batch_size: 0 is not a whole number from 1 on"),
        ("data.workers=-1", "data.workers: -1 is not a whole number from 0 on"),
        ("seed=1.5", "seed: 1.5 is not a whole number from 0 on"),
        ("trainer.devices=0", "trainer: "),
        ("trainer.strategy=foo", "trainer: "),
        ("optimizer.schedule=foo", "optimizer.schedule: 'foo' is none of linear"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_key(configure, override, reason):
    with pytest.raises(UserError) as refused:
        check_values(configure(override))
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize("precision", [32, "bf16", "bf16-mixed", "auto", "64-true"])
def test_lightnings_names_of_precisions_are_accepted(configure, precision):
    check_values(configure(f"trainer.precision={precision}"))


@pytest.mark.parametrize(("precision", "able", "told"), [("bf16", False, 1), ("bf16", True, 0), ("auto", False, 0)])
def test_a_precision_that_the_processor_lacks_is_told(configure, monkeypatch, caplog, precision, able, told):
    monkeypatch.setattr(processor, "HAS_BFLOAT16", able)
    check_values(configure(f"trainer.precision={precision}", "trainer.accelerator=cpu"))
    assert caplog.text.count("this processor lacks bfloat16") == told
