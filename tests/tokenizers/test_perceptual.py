"""The perceptual distance reads a user's VGG-16 in either layout, and refuses anything else."""

import h5py
import numpy as np
import pytest
import safetensors.numpy
import torch
from pydantic import ValidationError

from viper_pipeline.core.errors import BadData
from viper_pipeline.tokenizers import losses
from viper_pipeline.tokenizers.losses import VGG, PerceptualConfig, read_vgg


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The same thirteen layers, an eighth as wide."""
    narrow = tuple(tuple(width // 8 for width in stage) for stage in losses.WIDTHS)
    monkeypatch.setattr(losses, "WIDTHS", narrow)


def layers():
    rng, inputs, found = np.random.default_rng(0), 3, []
    for stage, widths in enumerate(losses.WIDTHS, 1):
        for i, width in enumerate(widths, 1):
            kernel = rng.normal(size=(width, inputs, 3, 3), scale=(2 / (9 * inputs)) ** 0.5).astype("float32")
            found.append((stage, i, kernel, rng.normal(size=width, scale=0.1).astype("float32")))
            inputs = width
    return found


def torchvision_file(path, without=()):
    tensors, index = {}, 0
    for n, (stage, i, kernel, bias) in enumerate(layers()):
        index += 1 if i == 1 and stage > 1 else 0  # a pooling layer
        if n not in without:
            tensors |= {f"features.{index}.weight": kernel, f"features.{index}.bias": bias}
        index += 2
    tensors["classifier.0.weight"] = np.zeros((7, 9), "float32")
    safetensors.numpy.save_file(tensors, path)
    return path


def keras_file(path):
    with h5py.File(path, "w") as file:
        for stage, i, kernel, bias in layers():
            group = file.create_group(f"layers/block{stage}_conv{i}/vars")
            group["0"], group["1"] = kernel.transpose(2, 3, 1, 0), bias
        file["layers/side/vars/0"] = np.zeros((1, 1, 64, 1), "float32")
        file["layers/side/vars/1"] = np.zeros(1, "float32")
    return path


def test_both_layouts_give_the_same_layers(tmp_path):
    one = read_vgg(torchvision_file(tmp_path / "vgg.safetensors"))
    two = read_vgg(keras_file(tmp_path / "vgg.weights.h5"))
    assert len(one) == len(two) == 13
    for (kernel, bias), (kernel2, bias2), (_, _, kernel3, bias3) in zip(one, two, layers(), strict=True):
        assert np.array_equal(kernel, kernel2) and np.array_equal(kernel, kernel3)
        assert np.array_equal(bias, bias2) and np.array_equal(bias, bias3)


@pytest.mark.parametrize("inputs", ["torchvision", "caffe"])
def test_distance_is_zero_for_equals_symmetric_and_grows_with_blur(tmp_path, inputs):
    torch.manual_seed(0)
    vgg = VGG(torchvision_file(tmp_path / "vgg.safetensors"), inputs)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    near, far = (x + 0.01 * torch.randn_like(x)).requires_grad_(), x.mean((2, 3), keepdim=True).expand_as(x)
    assert torch.equal(vgg(x, x), torch.zeros(2))
    assert torch.allclose(vgg(x, near), vgg(near, x))
    assert (vgg(x, near) < vgg(x, far)).all()
    vgg(x, near).sum().backward()
    assert near.grad.abs().sum() > 0
    assert not list(vgg.parameters()) and not vgg.state_dict()


def test_a_wrong_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(BadData, match=r"less\.safetensors: no VGG-16"):
        read_vgg(torchvision_file(tmp_path / "less.safetensors", without=[5]))
    (tmp_path / "text.h5").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    for name in ("text.h5", "text.safetensors"):
        with pytest.raises(BadData, match=f"{name}: neither"):
            read_vgg(tmp_path / name)
    with pytest.raises(BadData, match=r"absent\.h5: missing"):
        read_vgg(tmp_path / "absent.h5")


def test_vgg_without_weights_is_refused_early():
    with pytest.raises(ValidationError, match="weights"):
        PerceptualConfig(kind="vgg")
    assert PerceptualConfig().kind == "none"
