"""Names are compared in one Unicode form."""

from __future__ import annotations

import unicodedata

from undrift.names import find, nearest, normalised

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def test_both_forms_are_one_name():
    assert NFC != NFD
    assert normalised(NFC) == normalised(NFD) == NFC
    assert find(NFC, {NFD: 3}) == find(NFD, {NFC: 3}) == 3
    assert find("cafe", {NFC: 3}) is None


def test_the_very_same_spelling_goes_first():
    assert find(NFD, {NFC: 0, NFD: 1}) == 1


def test_nearest():
    assert nearest("cta", ["dog", "cat"]) == "cat"
    assert nearest("zebra", ["dog", "cat"]) is None
