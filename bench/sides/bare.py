"""A loop in bare PyTorch that trains the student on the labels alone, over the very batches that Potstill makes."""

import numpy as np
import torch
from torch import nn
from transformers import get_linear_schedule_with_warmup

from bench.sides.task import Clock, Options, Result, Row, Updates, Work, collate, evaluate, quiet
from data.batches import LengthGroupedBatches


def main() -> None:
    """Do the work once."""
    quiet()
    options = Options.read(("labels",))
    work = Work(options)
    student, rows, clock = work.student(), work.rows("train"), Clock()
    padding, longest = work.tokenizer.pad_token_id, work.longest()
    start, first = evaluate(student, work), loss_of(student, longest, padding)
    optimizer = work.optimizer(student)
    schedule = get_linear_schedule_with_warmup(optimizer, work.warmup(), work.updates())
    updates = Updates(optimizer)
    lengths = np.array([len(row["input_ids"]) for row in rows])
    order = LengthGroupedBatches(lengths.__getitem__, len(rows), work.settings["batch_size"], work.seed)
    clock.tick()
    for _ in range(options.epochs):
        for numbers in order:
            loss = student(**collate([rows[number] for number in numbers], padding)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), work.settings["clip"])
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        clock.tick()
    last = loss_of(student, longest, padding)
    Result(clock.seconds(), updates.count, first, last, start, evaluate(student, work)).write(options)


@torch.no_grad()
def loss_of(student: nn.Module, rows: list[Row], padding: int) -> float:
    """The loss on these rows without dropout."""
    loss = student.eval()(**collate(rows, padding)).loss.item()
    student.train()
    return loss


if __name__ == "__main__":
    main()
