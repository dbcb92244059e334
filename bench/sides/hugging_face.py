"""The usual subclass of the Hugging Face Trainer, whose `compute_loss` asks the teacher.

Modes: `padded` to the maximum length, as the tutorials do; `dynamic`: padded to the longest of a batch;
`grouped`: that, and examples of like length in a batch.
"""

from typing import Any

import datasets
import torch
from torch import Tensor, nn
from transformers import (
    DataCollatorWithPadding,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)

from bench.sides.losses import give_scores, knowledge, projections, recording
from bench.sides.task import Clock, Options, Result, Row, Work, evaluate, quiet

MODES = ("padded", "dynamic", "grouped")


class KnowledgeTrainer(Trainer):
    """Adds what the teacher knows to the label loss.

    Args:
        work: the common work.
        teacher: frozen.
    """

    def __init__(self, *args: Any, work: Work, teacher: PreTrainedModel, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.work, self.teacher, self.record = work, teacher, recording(work)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        outputs = model(**inputs, **self.record)
        with torch.no_grad():
            goal = self.teacher(inputs["input_ids"], inputs["attention_mask"], **self.record)
        loss = outputs.loss + knowledge(self.work, model.projections, outputs, goal, inputs["attention_mask"])
        return (loss, outputs) if return_outputs else loss

    @torch.no_grad()
    def loss_of(self, rows: list[Row]) -> float:
        """The loss on these rows without dropout."""
        model: Any = self.model
        loss = self.compute_loss(model.eval(), self.data_collator(rows)).item()
        model.train()
        return loss


class Ticks(TrainerCallback):
    """Tells a clock when epochs begin and end."""

    def __init__(self, clock: Clock):
        self.clock = clock

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.clock.tick()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        self.clock.tick()


def main() -> None:
    """Do the work once."""
    quiet()
    options = Options.read(MODES)
    work, clock = Work(options), Clock()
    student, teacher = work.student(), work.teacher()
    student.projections = projections(work, student, teacher)  # so that the Trainer trains them too
    give_scores(student, [mine for mine, _ in work.attention])
    give_scores(teacher, [theirs for _, theirs in work.attention])
    start = evaluate(student, work)
    trainer = KnowledgeTrainer(
        model=student,
        args=arguments(work),
        train_dataset=rows_of(work),
        processing_class=work.tokenizer,
        data_collator=default_data_collator if options.mode == "padded" else DataCollatorWithPadding(work.tokenizer),
        callbacks=[Ticks(clock)],
        work=work,
        teacher=teacher,
    )
    longest = [{name: row[name] for name in ("input_ids", "attention_mask", "labels")} for row in longest_of(work)]
    first = trainer.loss_of(longest)
    trainer.train()
    last = trainer.loss_of(longest)
    Result(clock.seconds(), trainer.state.global_step, first, last, start, evaluate(student, work)).write(options)


def arguments(work: Work) -> TrainingArguments:
    """The settings of the work; all that costs time and is not asked for is off."""
    settings, options = work.settings, work.options
    return TrainingArguments(
        output_dir=str(options.scratch),
        per_device_train_batch_size=settings["batch_size"],
        num_train_epochs=options.epochs,
        learning_rate=work.learning_rate,
        weight_decay=settings["weight_decay"],
        warmup_steps=work.warmup(),
        max_grad_norm=settings["clip"],
        train_sampling_strategy="group_by_length" if options.mode == "grouped" else "random",
        length_column_name="length",
        seed=work.seed,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def rows_of(work: Work) -> datasets.Dataset:
    """The training rows as the tutorials have them."""
    rows = datasets.Dataset.from_list(work.rows("train"))
    rows = rows.add_column("length", [len(ids) for ids in rows["input_ids"]])
    return datasets.Dataset.from_list([pad(row, work) for row in rows]) if work.options.mode == "padded" else rows


def longest_of(work: Work) -> list[Row]:
    """The longest training rows, padded where all rows are."""
    return [pad(row, work) if work.options.mode == "padded" else row for row in work.longest()]


def pad(row: Row, work: Work) -> Row:
    """The row at the maximum length."""
    tokens = {name: row[name] for name in ("input_ids", "attention_mask")}
    return row | dict(work.tokenizer.pad(tokens, padding="max_length", max_length=work.settings["max_length"]))


if __name__ == "__main__":
    main()
