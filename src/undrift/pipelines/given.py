"""Conditions of a request as keywords of a pipeline."""

from __future__ import annotations

from typing import TypedDict

from undrift.pipelines.labels import Labels
from undrift.pipelines.maps import GivenMaps
from undrift.pipelines.numbers import GivenNumbers
from undrift.pipelines.prompts import Prompts


class Given(TypedDict, total=False):
    """Keywords of `undrift.pipelines.Pipeline`; what is left out is left open."""

    labels: Labels
    prompts: Prompts
    numbers: GivenNumbers
    maps: GivenMaps
