"""What belongs to a number: how an image is scored, in one line."""

from __future__ import annotations

import torch

from undrift.likelihood.methods import FlowMethod, Method
from undrift.likelihood.span import Span
from undrift.likelihood.values import ValueGrid


def protocol(
    method: Method,
    grid: ValueGrid,
    span: Span,
    dimensions: int,
    known: str,
    dtype: torch.dtype,
) -> str:
    """Describe a score.

    Args:
        method: how it is estimated.
        grid: values of a pixel.
        span: noise levels that are counted.
        dimensions: values per image.
        known: what is known of the class.
        dtype: of the network's passes.
    """
    known = f"{known}; {str(dtype).removeprefix('torch.')}"
    ends = f"log-SNR {span.high:.2f} to {span.low:.2f}"
    if isinstance(method, FlowMethod):
        return (
            f"probability-flow ODE ({_solver(method)}, {_trace(method, dimensions)}), {ends}, "
            f"{method.dequantization.replace('_', '-')} dequantisation over {grid.count} levels, "
            f"K = {method.samples}; {known}"
        )
    if method.steps is None:
        chain = f"continuous bound, {method.points} low-discrepancy levels per image"
    else:
        chain = f"discrete bound of {method.steps} steps even in log-SNR"
    return f"{chain}, {ends}, discretised reconstruction over {grid.count} levels; {known}"


def _solver(method: FlowMethod) -> str:
    if method.solver == "rk4":
        return f"rk4, {method.points} points even in log-SNR"
    return f"dopri5, tolerance {method.tolerance:g}, steps shared by a batch"


def _trace(method: FlowMethod, dimensions: int) -> str:
    if method.exact(dimensions):
        return "exact trace"
    return f"{method.probes} Rademacher probe{'s' if method.probes > 1 else ''}"
