"""Every path that a configuration can name."""

from __future__ import annotations

from undrift.diffusion.log_snr_schedule import LogSNR
from undrift.diffusion.schedule import VE, Flow, VPCosine, VPLinear
from undrift.diffusion.sub_vp import SubVP

Schedule = VPLinear | VPCosine | VE | Flow | LogSNR | SubVP
"""Any noise schedule that can be stored in a configuration."""
