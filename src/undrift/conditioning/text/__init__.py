"""Texts as conditions: a vocabulary learned from captions, and an encoder trained jointly."""

from undrift.conditioning.text.encoder import TextEncoder
from undrift.conditioning.text.spec import TextSpec
from undrift.conditioning.text.texts import Texts
from undrift.conditioning.text.vocabulary import Vocabulary, learn_vocabulary

__all__ = ["TextEncoder", "TextSpec", "Texts", "Vocabulary", "learn_vocabulary"]
