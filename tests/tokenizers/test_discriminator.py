"""The discriminator: R1 per sample, minibatch deviation, sizes."""

import pytest
import torch
from torch import nn

from viper_pipeline.tokenizers.losses import (
    Blur,
    Discriminator,
    DiscriminatorConfig,
    discriminator_loss,
    generator_loss,
    minibatch_deviation,
    r1,
)


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3 * 8 * 8))

    def forward(self, x):
        return x.flatten(1) @ self.weight


@pytest.mark.parametrize("batch", [1, 4, 32])
def test_r1_of_a_linear_discriminator_is_its_squared_weight_at_any_batch_size(batch):
    torch.manual_seed(0)
    network = Linear()
    x = torch.randn(batch, 3, 8, 8, requires_grad=True)
    penalty = r1(network(x), x)
    assert torch.allclose(penalty, network.weight.square().sum(), rtol=1e-5)
    penalty.backward()
    assert torch.allclose(network.weight.grad, 2 * network.weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [16, 128])
def test_the_papers_penalty_is_r1_with_the_gamma_of_its_batch(batch):
    torch.manual_seed(0)
    network = Linear()
    x = torch.randn(batch, 3, 8, 8, requires_grad=True)
    (of_mean,) = torch.autograd.grad(network(x).mean(), x)
    gamma = 1e8 / (batch**2 * 3 * 8 * 8)
    assert torch.allclose(1e8 * of_mean.square().mean(), gamma * r1(network(x), x), rtol=1e-4)


def test_the_default_gamma_is_the_papers_at_sixteen_samples_of_64_pixels():
    assert DiscriminatorConfig().r1_gamma == pytest.approx(1e8 / (16**2 * 64 * 64 * 3), rel=0.01)


def test_r1_trains_the_whole_discriminator():
    torch.manual_seed(0)
    network = Discriminator(DiscriminatorConfig(width=4, max_width=16), 16)
    x = torch.randn(4, 3, 16, 16, requires_grad=True)
    r1(network(x), x).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in network.named_parameters() if "weight" in n)


def test_blur_keeps_the_mean_and_halves():
    x = torch.ones(1, 2, 8, 8)
    assert torch.allclose(Blur()(x, 0), torch.ones(1, 2, 5, 5))
    assert Blur()(x, 1, stride=2).shape == (1, 2, 4, 4)


def test_minibatch_deviation_sees_a_collapsed_batch():
    torch.manual_seed(0)
    varied = torch.randn(8, 3, 2, 2)
    same = varied[:1].expand(8, -1, -1, -1)
    assert minibatch_deviation(varied, 4).shape == (8, 4, 2, 2)
    assert torch.equal(minibatch_deviation(varied, 4)[:, :3], varied)
    assert minibatch_deviation(same, 4)[:, 3].max() < 1e-3 < 0.1 < minibatch_deviation(varied, 4)[:, 3].min()
    assert minibatch_deviation(varied[:7], 4).shape == (7, 4, 2, 2)  # 7 has no divisor up to 4 but 1


@pytest.mark.parametrize("size", [8, 16, 64])
def test_one_logit_a_frame(size):
    network = Discriminator(DiscriminatorConfig(width=2, max_width=8), size)
    assert network(torch.randn(3, 3, size, size)).shape == (3,)


def test_widths_of_table_1():
    with torch.device("meta"):
        network = Discriminator(DiscriminatorConfig(), 64)
    assert network.stem.out_channels == 32
    assert [(b.first.in_channels, b.second.out_channels) for b in network.blocks] == [
        (32, 64),
        (64, 128),
        (128, 256),
        (256, 512),
    ]
    assert network.last.in_channels == 513
    assert network.head[0].in_features == 512 * 4


def test_losses_fall_when_each_side_wins():
    high, low = torch.full((4,), 3.0), torch.full((4,), -3.0)
    assert discriminator_loss(high, low) < discriminator_loss(high * 0, low * 0) < discriminator_loss(low, high)
    assert generator_loss(high) < generator_loss(low)
