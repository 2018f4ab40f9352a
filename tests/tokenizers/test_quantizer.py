"""The codebook: nearest, straight-through, averaged, restarted; and codes that do not depend on the batch."""

import math

import pytest
import torch

from viper_pipeline.tokenizers.quantizer import Quantizer, QuantizerConfig


def make(**settings) -> Quantizer:
    torch.manual_seed(0)
    return Quantizer(QuantizerConfig(**{"size": 12, "dim": 5, **settings}))


def vectors(z: torch.Tensor) -> torch.Tensor:
    return z.permute(0, 2, 3, 1).flatten(0, 2)


def test_the_learned_codebook_starts_uniform_within_one_over_its_size():
    book = make(size=50).codebook.detach()
    assert book.abs().max() <= 1 / 50
    assert book.abs().max() > 0.9 / 50
    assert abs(float(book.mean())) < 0.2 / 50


@pytest.mark.parametrize("kind", ["learned", "ema"])
def test_codes_are_the_nearest_vectors(kind):
    quantizer = make(kind=kind).eval()
    z = torch.randn(3, 5, 4, 2) / 12
    brute = (vectors(z)[:, None] - quantizer.codebook[None]).square().sum(2).argmin(1).view(3, 4, 2)
    quantized, codes, _, _ = quantizer(z)
    assert torch.equal(codes, brute)
    assert torch.equal(quantizer.nearest(z)[0], brute)
    assert torch.allclose(quantized, quantizer.lookup(codes), atol=1e-7)


def test_gradient_goes_straight_through():
    quantizer = make(commitment=0.0)
    z = torch.randn(2, 5, 3, 3, requires_grad=True)
    weight = torch.randn(2, 5, 3, 3)
    (quantizer(z)[0] * weight).sum().backward()
    assert torch.equal(z.grad, weight)


def test_each_loss_pulls_its_own_side():
    quantizer = make(commitment=0.25)
    z = torch.randn(2, 5, 3, 3, requires_grad=True)
    _, codes, loss, _ = quantizer(z)
    loss.backward()
    n = z.numel()
    towards = 2 * (z - quantizer.lookup(codes)).detach()
    assert torch.allclose(z.grad, 0.25 * towards / n, atol=1e-7)
    expected = torch.zeros(12, 5).index_add(0, codes.flatten(), -vectors(towards) / n)
    assert torch.allclose(quantizer.codebook.grad, expected, atol=1e-6)


def test_averaged_vectors_become_the_mean_of_what_they_stand_for():
    quantizer = make(kind="ema", decay=0.5).train()
    z = torch.randn(4, 5, 6, 6)
    for _ in range(80):  # long enough for every move between codes to end and the past to be forgotten
        codes = quantizer(z)[1].flatten()
    rows = vectors(z)
    for code in codes.unique():
        assert torch.allclose(quantizer.codebook[code], rows[codes == code].mean(0), atol=1e-4)


def test_averages_move_only_while_training_and_only_when_asked():
    quantizer = make(kind="ema", restart_below=0.5).train()
    z = torch.randn(4, 5, 6, 6)
    quantizer(z)
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer(torch.randn(4, 5, 6, 6), update=False)
    quantizer.eval()
    quantizer(torch.randn(4, 5, 6, 6))
    assert all(torch.equal(value, before[name]) for name, value in quantizer.state_dict().items())


@pytest.mark.parametrize("kind", ["learned", "ema"])
@pytest.mark.parametrize("below", [0.0, 0.5])
def test_dead_codes_restart_where_asked(kind, below):
    quantizer = make(kind=kind, restart_below=below, decay=0.5).train()
    z = torch.randn(4, 5, 6, 6)
    quantizer(z)
    with torch.no_grad():
        quantizer.codebook[6:] = 1000.0
        quantizer.sums[6:] = 1000.0 * quantizer.usage[6:, None]
    for _ in range(8):
        codes = quantizer(z)[1]
    far = int((quantizer.codebook[6:].abs() > 100).all(1).sum())
    assert far == (0 if below else 6)
    assert (int(codes.max()) >= 6) == bool(below)


def test_of_equal_vectors_the_first_is_chosen_and_nothing_is_doubtful():
    quantizer = make().eval()
    with torch.no_grad():
        quantizer.codebook.copy_(10 * torch.eye(5).repeat(3, 1)[:12])
    codes, doubtful = quantizer.nearest(quantizer.codebook[7:9].detach().t().reshape(1, 5, 1, 2))
    assert codes.tolist() == [[[2, 3]]]
    assert not doubtful.any()


def test_a_near_tie_is_doubtful_also_after_the_codebook_changed():
    quantizer = make().eval()
    with torch.no_grad():
        quantizer.codebook.copy_(10 * torch.randn(12, 5))
    middle = (quantizer.codebook[0] + quantizer.codebook[1]).detach() / 2
    with torch.no_grad():
        quantizer.codebook[2:] += 1000
    z = torch.stack([middle, quantizer.codebook[0].detach()])[:, :, None, None]
    assert quantizer.nearest(z)[1].tolist() == [True, False]
    with torch.no_grad():
        quantizer.codebook[1] = quantizer.codebook[0]
    assert quantizer.nearest(z)[1].tolist() == [False, False]


def test_usage_and_perplexity():
    quantizer = make().eval()
    one = quantizer.codebook[3].detach().reshape(1, 5, 1, 1).expand(2, 5, 4, 4)
    metrics = quantizer(one)[3]
    assert math.isclose(float(metrics["perplexity"]), 1, rel_tol=1e-5)
    assert math.isclose(float(metrics["codes_used"]), 1 / 12, rel_tol=1e-5)
    every = quantizer.codebook.detach().t().reshape(1, 5, 3, 4)
    metrics = quantizer(every)[3]
    assert math.isclose(float(metrics["perplexity"]), 12, rel_tol=1e-5)
    assert float(metrics["codes_used"]) == 1


def test_float32_under_autocast():
    quantizer = make().eval()
    z = torch.randn(2, 5, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        quantized, codes, loss, _ = quantizer(z)
    assert quantized.dtype == loss.dtype == torch.float32
    assert torch.equal(codes, quantizer(z)[1])
