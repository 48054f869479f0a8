"""What every encoder keeps to, whichever library it is from."""

import torch
from torch import nn


@torch.no_grad()
def check_rounding(encoder: nn.Module, bands: int) -> None:
    """Check that its coarsest level is the same in other layouts and formats but for rounding."""
    image = torch.rand(1, bands, 64, 64)
    plain = encoder(image)[-1]
    laid_out = encoder.to(memory_format=torch.channels_last)(
        image.contiguous(memory_format=torch.channels_last)
    )[-1]
    torch.testing.assert_close(laid_out, plain, rtol=1e-3, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        short = encoder(image)[-1]
    assert float((short - plain).norm() / plain.norm()) < 0.05
