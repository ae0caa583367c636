"""Likelihood: variational bounds, the probability-flow ODE, and the levels that both count in."""

from __future__ import annotations

from undrift.likelihood.methods import BoundMethod, FlowMethod, Method
from undrift.likelihood.precision import refuse_narrow
from undrift.likelihood.proposal import Proposal
from undrift.likelihood.request import Classes, LikelihoodRequest
from undrift.likelihood.scoring import OnScored, Scored, Scorer
from undrift.likelihood.span import Span, span_of
from undrift.likelihood.values import ValueGrid

__all__ = [
    "Classes",
    "LikelihoodRequest",
    "BoundMethod",
    "FlowMethod",
    "Method",
    "OnScored",
    "Proposal",
    "Scored",
    "Scorer",
    "Span",
    "ValueGrid",
    "refuse_narrow",
    "span_of",
]
