r"""A convolution whose weights are modulated by a style, image by image.

.. math::

    w'_{ijk} &= s_i\, w_{ijk},                                                          \quad (1)\\
    w''_{ijk} &= w'_{ijk} \Big/ \sqrt{\textstyle\sum_{i,k} w'^{\,2}_{ijk} + \epsilon}    \quad (2)

with i, j the channels in and out and k the place in the kernel. The style scales what comes in (1);
demodulation restores unit variance of what goes out (2), as instance norm would, but from the
weights alone. Scaling the input by s and the output by the root's inverse is the same function
with one set of weights for the whole batch.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", eqs. 1-3.
"""

from __future__ import annotations

from torch import Tensor, nn

from undrift.networks.gan.equalized import EqualConv, EqualLinear

EPSILON = 1e-8


class ModulatedConv(nn.Module):
    """See above.

    Args:
        inward: channels that come in.
        outward: channels that go out.
        kernel: side of the kernel, odd.
        style: numbers in w, the style.
        demodulates: whether (2) is applied.
    """

    def __init__(
        self, inward: int, outward: int, kernel: int, style: int, *, demodulates: bool = True
    ) -> None:
        super().__init__()
        self.demodulates = demodulates
        self.affine = EqualLinear(style, inward, bias=1.0)
        self.conv = EqualConv(inward, outward, kernel, bias=False)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(B, inward, H, W) and (B, style) -> (B, outward, H, W)."""
        s = self.affine(w)
        y = self.conv(x * s[:, :, None, None])  # (1)
        if not self.demodulates:
            return y
        power = (self.conv.scale * self.conv.weight).square().sum((2, 3))
        scale = (s.square() @ power.T + EPSILON).rsqrt()
        return y * scale[:, :, None, None]  # (2)
