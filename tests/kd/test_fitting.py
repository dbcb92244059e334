import pytest
import torch

from kd.fitting import resolve_precision


def test_auto_is_full_precision_on_a_cpu():
    assert resolve_precision("auto", "cpu") == "32-true"


@pytest.mark.parametrize(("has_bf16", "expected"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_auto_on_a_gpu_depends_on_its_age(monkeypatch, has_bf16, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    assert resolve_precision("auto", "auto") == expected
    assert resolve_precision("auto", "cpu") == "32-true"


def test_an_explicit_precision_wins():
    assert resolve_precision("64-true", "auto") == "64-true"


@pytest.mark.parametrize(("short", "long"), [(16, "16-mixed"), ("bf16", "bf16-mixed"), (32, "32-true")])
def test_short_names_are_written_out(short, long):
    assert resolve_precision(short, "cpu") == long
