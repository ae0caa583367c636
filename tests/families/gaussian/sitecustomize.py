"""Registers the toy family in every process whose path has this folder."""

from tests.families.gaussian import GaussianFamily, GaussianPipeline

from undrift import families
from undrift.pipelines import Pipeline

families.FAMILIES += (GaussianFamily(),)
Pipeline.readers["gaussian"] = GaussianPipeline.read
