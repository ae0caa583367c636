"""Changes to a run's configuration, by the names in its config.yaml."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from undrift.runs import configuration
from undrift.runs.configuration import RunConfig


def changed(config: RunConfig, values: Mapping[str, object]) -> RunConfig:
    """The same with other values, as ``{"model.penalty.r1": 0.01}``; checked like any file.

    Raises:
        KeyError: for a name that the configuration does not have.
    """
    plain: dict[str, Any] = yaml.safe_load(configuration.dump(config))
    for name, value in values.items():
        *way, last = name.split(".")
        place = plain
        for part in way:
            place = place.get(part, {})
        if last not in place:
            raise KeyError(name)
        place[last] = value
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "config.yaml"
        path.write_text(yaml.safe_dump(plain))
        return configuration.load(path)
