"""A tokenizer that knows only those pieces of another one's vocabulary that some texts use."""

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

INSIDE = "##"


def can_be_cut(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether it always takes the longest piece that it knows, as WordPiece does."""
    return _state(tokenizer)["model"]["type"] == "WordPiece"


def cut_vocabulary(tokenizer: PreTrainedTokenizerFast, used: Iterable[int]) -> PreTrainedTokenizerFast:
    """The tokenizer with the pieces `used`, their letters, and its special tokens; ids are numbered anew.

    Words whose pieces are all kept are cut at the same places: WordPiece takes the longest known piece, and
    where that one is kept no longer one was known. Words that need other pieces fall into shorter ones,
    at worst into letters; a word with a letter that no used piece has is unknown.

    Args:
        tokenizer: of a kind that can be cut.
        used: ids of the pieces that are to stay.
    """
    state = _state(tokenizer)
    vocabulary, whole = state["model"]["vocab"], tokenizer.get_vocab()
    known = {number: piece for piece, number in whole.items()}
    added = {token["content"] for token in state["added_tokens"]} | set(tokenizer.all_special_tokens)
    pieces = {known[number] for number in used if number in known} - added
    letters = {letter for piece in pieces for letter in piece.removeprefix(INSIDE)}
    kept = (pieces | added | letters | {INSIDE + letter for letter in letters}) & set(whole)
    new = {old: number for number, old in enumerate(sorted(whole[piece] for piece in kept))}
    state["model"]["vocab"] = {piece: new[whole[piece]] for piece in kept if piece in vocabulary}
    state |= {"truncation": None, "padding": None}
    state["added_tokens"] = [token | {"id": new[token["id"]]} for token in state["added_tokens"]]
    state["post_processor"] = _renumbered(state["post_processor"], new)
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        model_input_names=tokenizer.model_input_names,
        model_max_length=tokenizer.model_max_length,
        **tokenizer.special_tokens_map,
    )


def _state(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return json.loads(tokenizer.backend_tokenizer.to_str())


def _renumbered(processor: Any, new: dict[int, int]) -> Any:
    """A post-processor with its special tokens' ids changed: pairs of token and id, or lists called `ids`."""
    if isinstance(processor, dict):
        return {
            key: [new[number] for number in value] if key == "ids" else _renumbered(value, new)
            for key, value in processor.items()
        }
    if isinstance(processor, list):
        match processor:
            case [str(token), int(number)]:
                return [token, new[number]]
        return [_renumbered(value, new) for value in processor]
    return processor
