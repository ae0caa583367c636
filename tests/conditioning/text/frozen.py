"""Tiny text models of transformers with random weights, as folders."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = "an ant two ants of file a red green apple pear in the grass that sits 0 1 2 3 4 5 6 7 8 9"


def bert(folder: Path, seed: int = 0) -> Path:
    """Write a BERT of 1 layer and 16 channels; another seed is another one."""
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=24,
    )  # fmt: skip
    return _written(folder, transformers.BertModel, config, seed)


def t5(folder: Path) -> Path:
    """Write a T5, an encoder and a decoder, of 1 layer and 16 channels."""
    config = transformers.T5Config(
        vocab_size=40, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
        decoder_start_token_id=0,
    )  # fmt: skip
    return _written(folder, transformers.T5Model, config, 0)


def _written(folder: Path, kind: type, config: transformers.PretrainedConfig, seed: int) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        kind(config).save_pretrained(folder)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(
        models.WordLevel(
            {word: i for i, word in enumerate([*special, *WORDS.split()])}, unk_token="[UNK]"
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder)
    return folder
