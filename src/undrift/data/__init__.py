"""Data: from a folder, an archive or an array of images to checked, cached, split uint8 images.

>>> import undrift.data
>>> digits = undrift.data.load("digits")
>>> digits.images.shape, digits.images.dtype, digits.class_names[:3]
((1797, 8, 8, 1), dtype('uint8'), ('0', '1', '2'))

The order of training is in :mod:`undrift.data.order`, batches in :mod:`undrift.data.loader`,
augmentation in :mod:`undrift.data.augmentation`; they import torch, this package does not.
"""

from __future__ import annotations

from undrift.data.imageset import ImageSet
from undrift.data.loading import load, short_name
from undrift.data.report import DataReport, Duplicates
from undrift.data.sources.source import SetAside

__all__ = ["DataReport", "Duplicates", "ImageSet", "SetAside", "load", "short_name"]
