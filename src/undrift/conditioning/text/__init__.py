"""Texts as conditions: in a vocabulary learned from captions, or in a frozen model's features."""

from undrift.conditioning.text.encoder import SequenceEncoder, TextEncoder
from undrift.conditioning.text.kind import TextKind
from undrift.conditioning.text.pretrained import PretrainedText
from undrift.conditioning.text.spec import TextSpec
from undrift.conditioning.text.texts import Texts
from undrift.conditioning.text.vocabulary import Vocabulary, learn_vocabulary

__all__ = [
    "PretrainedText",
    "SequenceEncoder",
    "TextEncoder",
    "TextKind",
    "TextSpec",
    "Texts",
    "Vocabulary",
    "learn_vocabulary",
]
