"""torchvision's networks, also where its compiled operators miss the GPU's libraries."""

from unittest import mock

import torch

try:
    from torchvision import models
except RuntimeError:
    # its operators, which no network here has, are registered when it is imported
    with mock.patch.object(torch.library, "register_fake", lambda *_, **__: lambda one: one):
        from torchvision import models

__all__ = ["models"]
