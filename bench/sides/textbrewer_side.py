"""TextBrewer with dynamic padding.

Modes: `general`: its GeneralDistiller, which asks the teacher in every step; `cached`: its BasicDistiller
with `is_caching_logits`, which asks once and keeps the batches as they were then, for logits alone.

What differs: its `ce` is the cross-entropy with the teacher's soft targets, which is the KL divergence
plus the teacher's entropy, which has no gradient; a projection starts from its own random weights, and
its gradient is not clipped.
"""

import logging
from collections.abc import Iterator
from typing import Any

import torch
from textbrewer import BasicDistiller, DistillationConfig, GeneralDistiller, TrainingConfig
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import DataCollatorWithPadding, PreTrainedModel, get_linear_schedule_with_warmup

from bench.sides.losses import give_scores, recording, width
from bench.sides.task import Clock, Options, Result, Updates, Work, evaluate, quiet

MODES = ("general", "cached")
Batch = dict[str, Tensor]


class Ticking:
    """A loader that tells a clock when an epoch begins."""

    def __init__(self, loader: DataLoader, clock: Clock):
        self.loader, self.clock = loader, clock

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        self.clock.tick()
        return iter(self.loader)


def main() -> None:
    """Do the work once."""
    quiet()
    logging.getLogger("Distillation").setLevel(logging.ERROR)
    options = Options.read(MODES)
    work, clock = Work(options), Clock()
    student, teacher = work.student(), work.teacher()
    give_scores(student, [mine for mine, _ in work.attention])
    give_scores(teacher, [theirs for _, theirs in work.attention])
    start, distiller = evaluate(student, work), make_distiller(work, student, teacher, clock)
    collator = DataCollatorWithPadding(work.tokenizer)
    longest = dict(collator(work.longest()))
    first = loss_of(distiller, longest, recording(work))
    torch.manual_seed(work.seed)
    rows: Any = work.rows("train")
    size = work.settings["batch_size"]
    loader: Any = DataLoader(rows, size, shuffle=True, collate_fn=lambda some: dict(collator(some)))
    optimizer = work.optimizer(student)
    updates = Updates(optimizer)
    with distiller:
        distiller.train(
            optimizer,
            Ticking(loader, clock),
            num_epochs=options.epochs,
            scheduler_class=get_linear_schedule_with_warmup,
            scheduler_args={"num_warmup_steps": work.warmup(), "num_training_steps": work.updates()},
            max_grad_norm=work.settings["clip"],
            **recording(work),
        )
    clock.tick()
    last = loss_of(distiller, longest, recording(work))
    store, *seconds = clock.seconds() if options.mode == "cached" else [0.0, *clock.seconds()]
    end = evaluate(student, work)
    Result(seconds, updates.count, first, last, start, end, store, clock.checkpoint_seconds).write(options)


def make_distiller(work: Work, student: PreTrainedModel, teacher: PreTrainedModel, clock: Clock) -> BasicDistiller:
    """The distiller, which keeps one checkpoint, after the last epoch, the fewest that it can."""
    cached, temperature = work.options.mode == "cached", work.settings["temperature"]
    distillation = DistillationConfig(
        temperature=temperature,
        kd_loss_type="ce",
        kd_loss_weight=temperature**2,
        hard_label_weight=1.0,
        intermediate_matches=matches(work, student, teacher),
        is_caching_logits=cached,
    )
    training = TrainingConfig(
        device="cpu", output_dir=str(work.options.scratch), ckpt_frequency=1, ckpt_epoch_frequency=work.options.epochs
    )
    make = BasicDistiller if cached else GeneralDistiller
    distiller = make(training, distillation, teacher, student, adapt, adapt)
    save = distiller.save_and_callback

    def save_and_callback(*args: Any) -> None:
        with clock.checkpoint():
            save(*args)

    distiller.save_and_callback = save_and_callback
    if cached:
        tick_each_epoch(distiller, clock)
    return distiller


def tick_each_epoch(distiller: BasicDistiller, clock: Clock) -> None:
    """With cached logits it iterates over a list of its own, shuffled anew at the beginning of each epoch."""

    class Cache(list):
        def __iter__(self) -> Iterator[Any]:
            clock.tick()
            return super().__iter__()

    distiller.logits_cache = Cache()


def matches(work: Work, student: PreTrainedModel, teacher: PreTrainedModel) -> list[dict[str, Any]]:
    """The intermediate matches; attention is counted among the layers that give it."""
    mine, theirs = width(student), width(teacher)
    projection = {} if mine == theirs else {"proj": ["linear", mine, theirs]}
    hidden = [
        {"layer_S": learner, "layer_T": goal, "feature": "hidden", "loss": "hidden_mse", "weight": 1.0, **projection}
        for learner, goal in work.hidden
    ]
    attention = [
        {"layer_S": place, "layer_T": place, "feature": "attention", "loss": "attention_mse", "weight": 1.0}
        for place in range(len(work.attention))
    ]
    return hidden + attention


def adapt(batch: Batch, outputs: Any) -> dict[str, Any]:
    """What the distiller is to see of a model's outputs."""
    seen = {"logits": outputs.logits, "losses": outputs.loss, "inputs_mask": batch["attention_mask"]}
    names = {"hidden": "hidden_states", "attention": "attentions"}
    return seen | {key: outputs[name] for key, name in names.items() if outputs.get(name) is not None}


@torch.no_grad()
def loss_of(distiller: BasicDistiller, batch: Batch, record: dict[str, bool]) -> float:
    """The distiller's loss on a batch without dropout."""
    distiller.model_S.eval()
    one: Any = batch
    if distiller.d_config.is_caching_logits:
        one = (batch, [distiller.model_T(**batch).logits])
    loss, _ = distiller.train_on_batch(one, record)
    distiller.model_S.train()
    return loss.item()


if __name__ == "__main__":
    main()
