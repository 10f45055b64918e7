"""Any torch module as a network with taps."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flow.errors import UserError
from flow.models import Levels, evaluate, evaluate_groups
from flow.models.traced import TracedNetwork
from flow.noise import Additive, Multiplicative, TorchSampler
from tests.helpers.torchvision_networks import models


class Small(nn.Module):
    """Functions, methods, a module called twice, an operation in place, and a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.more = nn.Conv2d(4, 4, 3, padding=1)
        self.unused = nn.Linear(4, 4)
        self.weight = nn.Parameter(torch.randn(36, 5))

    def forward(self, x: Tensor, mask: Tensor | None = None, scale: bool = True) -> Tensor:
        before = self.bn(self.conv(x))
        y = self.relu(before)
        y = F.max_pool2d(self.relu(self.more(y)) + before, 2)
        if mask is not None:
            y = y * mask
        if scale:
            y = y.mul_(2)
        return torch.sigmoid(y.flatten(1).tanh() @ self.weight)


@pytest.fixture
def small() -> tuple[Small, Tensor]:
    torch.manual_seed(3)
    module = Small().eval()
    for value in (module.bn.running_mean, module.bn.running_var):
        value.uniform_(0.5, 1.5)
    return module, torch.randn(7, 1, 6, 6)


def fitted(module: nn.Module, images: Tensor) -> TracedNetwork:
    network = TracedNetwork(module)
    network.fit_to(images)
    return network.eval()


def test_sites_follow_the_data(small):
    network = fitted(*small)
    assert network.sites == [
        "input", "conv.acc", "bn.norm", "relu.act", "more.acc", "relu_2.act", "max_pool2d.pool",
        "tanh.act", "matmul.acc", "sigmoid.act",
    ]  # fmt: skip
    assert network.walk_sites == network.sites
    assert (network.classes, network.image_shape) == (5, (6, 6, 1))
    assert network.skipped == [("unused", "the forward pass does not call it")]


def test_it_computes_what_the_module_does_and_leaves_it_as_it_was(small):
    module, images = small
    state = {name: value.clone() for name, value in module.state_dict().items()}
    network = fitted(module, images)
    with torch.no_grad():
        assert torch.equal(network(images), module(images))
    evaluate(network, images, noise={"bn.norm": Additive(1.0)}, sampler=TorchSampler(0))
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert module.relu.inplace and not any(m.training for m in module.modules())


@pytest.mark.parametrize("site", ["input", "bn.norm", "relu.act", "relu_2.act", "matmul.acc"])
def test_levels_with_a_shared_clean_part_equal_one_pass_each(small, site):
    """In-place operations would spoil the values that the levels begin with."""
    network, images = fitted(*small), small[1]
    noises = [Additive(sigma) for sigma in (0.2, 1.0, 5.0)]
    levels = Levels([{site: noise} for noise in noises], TorchSampler(1))
    (together,) = evaluate_groups(network, images, [levels], batch=4)
    alone = [
        evaluate(network, images, noise={site: noise}, sampler=TorchSampler(1), batch=4)
        for noise in noises
    ]
    assert np.array_equal(together, alone)
    assert not np.array_equal(together[0], together[-1])


def test_noise_of_a_known_size_at_a_site(small):
    """Multiplicative noise on a site's value, seen at the output of a network that ends there."""
    network = fitted(nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), small[1])
    images = small[1]
    with torch.no_grad(), network.noise({"1.acc": Multiplicative(sigma_mul=0.1)}, TorchSampler(5)):
        noisy = network(images)
        clean = network.model(images)
    z = TorchSampler(5)("1.acc", 0, clean.shape)
    assert torch.allclose(noisy, clean * (1 + 0.1 * z))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121"])
def test_torchvision_s_networks_are_traced_whole(name):
    torch.manual_seed(0)
    module = getattr(models, name)(num_classes=300).eval()
    images = torch.randn(2, 3, 64, 64)
    network = fitted(module, images)
    with torch.no_grad():
        assert torch.equal(network(images), module(images))
    assert network.label_type is np.uint16 and network.classes == 300
    expected = sum(isinstance(m, nn.Conv2d | nn.Linear) for m in module.modules())
    assert len(network.accumulator_sites) >= expected
    assert not network.skipped


def test_resnet18_has_a_site_behind_every_operation():
    network = TracedNetwork(models.resnet18())
    kinds = [site.kind for site in network.sites]
    counts = {kind: kinds.count(kind) for kind in kinds}
    assert counts == {"input": 1, "acc": 21, "norm": 20, "act": 17, "pool": 2}
    assert "layer1.0.relu_2.act" in network.sites and "fc.acc" in network.sites


def test_a_wrapped_function_is_named_as_hidden():
    found = TracedNetwork(models.swin_t()).skipped
    hidden = "the operations inside shifted_window_attention cannot be seen"
    assert ("features.1.0.attn", hidden) in found


def test_an_attention_is_named_as_hidden():
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.last = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            y, _ = self.attention(x, x, x)
            return self.last(y.mean(1))

    network = fitted(Attention().eval(), torch.randn(4, 5, 8))
    ((path, reason),) = network.skipped
    assert path == "attention" and "MultiheadAttention" in reason


def test_the_digest_tells_weights_and_operations_apart(small):
    module, _ = small
    first = TracedNetwork(module).digest
    assert TracedNetwork(module).digest == first
    module.bn.eps *= 2
    assert TracedNetwork(module).digest != first
    module.bn.eps /= 2
    with torch.no_grad():
        module.weight[0, 0] += 1e-3
    assert TracedNetwork(module).digest != first


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return self.fc(x)
        return self.fc(-x)


def test_a_module_that_depends_on_values_is_refused_with_its_line():
    with pytest.raises(UserError) as caught:
        TracedNetwork(Branching())
    said = str(caught.value)
    assert re.search(r"test_traced.py, line \d+, `if x.sum\(\) > 0:`", said)
    assert "depends on the values" in said and "\n" not in said


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) + self.missing


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (TwoInputs(), "TwoInputs takes x, y: give a module that takes images alone"),
        (nn.Sequential(nn.Flatten()), "has no operation to add noise to"),
        (Broken(), "no attribute 'missing'"),
    ],
)
def test_what_cannot_be_traced(module, said):
    with pytest.raises(UserError, match=said):
        TracedNetwork(module)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.Linear(9, 2), r"does not take images of shape \[1, 6, 6\]"),
        (nn.Conv2d(1, 2, 3), r"returns \[2, 2, 4, 4\] for 2 images"),
    ],
)
def test_images_that_do_not_fit(module, said):
    with pytest.raises(UserError, match=said):
        fitted(nn.Sequential(module).eval(), torch.randn(2, 1, 6, 6))
