"""A vocabulary of whole words, made from the texts of a run."""

from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
LONGEST_WORD = 100


def word_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A tokenizer whose vocabulary is the `size` most frequent words of the texts, in lower case.

    A word outside it is read as the longest known word it starts with, then letter by letter, so
    that no text is lost; only letters that the texts do not have become `[UNK]`.
    """
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    letters = sorted({letter for word in counts for letter in word})
    frequent = [word for word, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))]
    words = [word for word in frequent[:size] if len(word) > 1]
    entries = dict.fromkeys([*SPECIAL.values(), *letters, *(f"##{letter}" for letter in letters), *words])
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    tokenizer = Tokenizer(
        models.WordPiece(vocabulary, unk_token=SPECIAL["unk_token"], max_input_chars_per_word=LONGEST_WORD)
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, splitter, decoders.WordPiece()
    ends = [(SPECIAL[end], vocabulary[SPECIAL[end]]) for end in ("sep_token", "cls_token")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], **SPECIAL
    )
