"""Loss networks against torchvision's own nn.Sequential and against a published description."""

import copy
import hashlib
from importlib.resources import files
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import torchvision
from safetensors import safe_open
from safetensors.torch import load_file

from fast_style.data.images import read_image, resize_short_side
from fast_style.errors import FastStyleError
from fast_style.losses import gram_matrix, relative_error
from fast_style.networks.loss_network import (
    LOSS_NETWORKS,
    LossNetworkError,
    load_loss_network,
    with_mean_activation_one,
    with_random_weights,
)

# Positions in torchvision's vgg16().features and vgg19().features.
RELU_INDEX = {
    "vgg16": {"relu1_1": 1, "relu1_2": 3, "relu2_2": 8, "relu3_1": 11, "relu3_3": 15, "relu4_3": 22, "relu5_3": 29},
    "vgg19": {"relu1_2": 3, "relu2_2": 8, "relu3_3": 15, "relu3_4": 17, "relu4_3": 24, "relu4_4": 26, "relu5_1": 29},
}
IMAGENET_MEAN, IMAGENET_STD = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
DISTILLED_LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
DISTILLED = files("fast_style") / "assets" / "distilled.safetensors"
LOW_RANK = files("fast_style") / "assets" / "vgg16_lowrank.safetensors"
PAPER_LAYERS = ["relu1_2", "relu2_2", "relu3_3", "relu4_3"]


def random_images(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
@torch.no_grad()
def test_activations_are_those_of_torchvision(vgg, name):
    sequential, path = vgg(name)
    images = random_images(2, 3, 32, 48)
    features = load_loss_network(name, list(RELU_INDEX[name]), path)(images)
    assert set(features) == set(RELU_INDEX[name])
    for layer, index in RELU_INDEX[name].items():
        assert isinstance(sequential[index], torch.nn.ReLU)
        expected = sequential[: index + 1]((images - IMAGENET_MEAN) / IMAGENET_STD)
        torch.testing.assert_close(features[layer], expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_reflected_padding(vgg):
    sequential, path = vgg("tiny_vgg16")
    images = random_images(1, 3, 16, 24)
    reflected = copy.deepcopy(sequential)
    for layer in reflected:
        if isinstance(layer, torch.nn.Conv2d):
            layer.padding_mode = "reflect"
    features = load_loss_network("vgg16", ["relu3_3"], path, padding="reflect")(images)["relu3_3"]
    expected = reflected[:16]((images - IMAGENET_MEAN) / IMAGENET_STD)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(expected, sequential[:16]((images - IMAGENET_MEAN) / IMAGENET_STD), atol=1e-2)
    with pytest.raises(FastStyleError, match="padding.*zeros, reflect"):
        load_loss_network("vgg16", ["relu3_3"], path, padding="none")


@torch.no_grad()
def test_reflected_padding_leaves_gram_matrices_of_a_crop_as_in_the_picture():
    picture = resize_short_side(read_image(files("fast_style") / "assets" / "styles" / "mosaic.jpg")[0], 384)[None]
    crop = picture[..., 64:320, 64:320]
    layers = ["relu2_2", "relu3_3"]
    whole = load_loss_network("vgg16_lowrank", layers)(picture)
    inside = {
        layer: maps[..., 64 // scale : 320 // scale, 64 // scale : 320 // scale]
        for scale, (layer, maps) in zip((2, 4), whole.items(), strict=True)
    }
    zeros, reflected = (
        load_loss_network("vgg16_lowrank", layers, padding=padding)(crop) for padding in ("zeros", "reflect")
    )
    for layer in layers:
        wanted = gram_matrix(inside[layer])
        off = [relative_error(gram_matrix(maps[layer]), wanted).item() for maps in (zeros, reflected)]
        assert off[1] < off[0] / 2, layer


@torch.no_grad()
def test_caffe_vgg_sees_0_to_255_minus_the_mean(vgg):
    sequential, path = vgg("tiny_vgg16")
    images = random_images(1, 3, 16, 16)
    features = load_loss_network("vgg16_caffe", ["relu2_2"], path)(images)["relu2_2"]
    # The mean that Simonyan & Zisserman subtracted, RGB.
    mean = torch.tensor([123.68, 116.779, 103.939])[:, None, None]
    torch.testing.assert_close(features, sequential[:9](images * 255 - mean), rtol=1e-4, atol=1e-3)


@torch.no_grad()
def test_caffe_vgg19_sees_blue_first(vgg):
    sequential, path = vgg("tiny_vgg19")
    images = random_images(1, 3, 16, 16)
    features = load_loss_network("vgg19_caffe", ["relu3_4"], path)(images)["relu3_4"]
    mean = torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    torch.testing.assert_close(features, sequential[:18](images.flip(1) * 255 - mean), rtol=1e-4, atol=1e-3)
    with pytest.raises(LossNetworkError, match="needs loss_network.weights=FILE"):
        load_loss_network("vgg19_caffe", ["relu3_4"])


@torch.no_grad()
def test_average_pooling(vgg):
    sequential, path = vgg("tiny_vgg16")
    images = random_images(1, 3, 16, 16)
    expected = F.avg_pool2d(sequential[:4]((images - IMAGENET_MEAN) / IMAGENET_STD), 2)
    features = load_loss_network("vgg16", ["relu2_1"], path, pooling="avg")(images)["relu2_1"]
    torch.testing.assert_close(features, sequential[5:7](expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pooling", ["max", "avg"])
@torch.no_grad()
def test_pools_are_layers(vgg, pooling):
    sequential, path = vgg("tiny_vgg16")
    images = random_images(1, 3, 20, 28)
    features = load_loss_network("vgg16", ["pool1", "relu2_2", "pool2"], path, pooling=pooling)(images)
    pool = {"max": F.max_pool2d, "avg": F.avg_pool2d}[pooling]
    expected = pool(sequential[:4]((images - IMAGENET_MEAN) / IMAGENET_STD), 2)
    torch.testing.assert_close(features["pool1"], expected, rtol=1e-4, atol=1e-4)
    expected = pool(sequential[5:9](expected), 2)
    torch.testing.assert_close(features["pool2"], expected, rtol=1e-4, atol=1e-4)
    assert set(features) == {"pool1", "relu2_2", "pool2"}


def test_nothing_behind_a_pool_is_held(vgg):
    network = load_loss_network("vgg16", ["pool2"], vgg("tiny_vgg16")[1])
    assert network.convolutions == ["1_1", "1_2", "2_1", "2_2"]


def test_pools_have_no_heads():
    with pytest.raises(LossNetworkError, match="no layer pool1"):
        load_loss_network("distilled", ["relu1_1", "pool1"])
    assert load_loss_network("distilled", ["relu1_1", "pool1"], heads=False).layers == {"relu1_1", "pool1"}


@pytest.mark.parametrize("pooling", ["max", "avg"])
@torch.no_grad()
def test_mean_activation_one(vgg, pooling):
    """Gatys et al. 2015, section 2: as dividing every activation by its mean, and without a trace in the rest."""
    layers = ["relu1_1", "pool1", "relu2_2", "pool2", "relu3_1"]
    network = load_loss_network("vgg16", layers, vgg("tiny_vgg16")[1], pooling=pooling)
    photos = [random_images(1, 3, 24, 24, seed=1), random_images(1, 3, 16, 32, seed=2)]
    before = network(photos[0])
    rescaled = with_mean_activation_one(network, photos)
    for layer in ("relu1_1", "relu2_2", "relu3_1"):
        means = torch.stack([network(photo)[layer].mean((0, 2, 3)) for photo in photos]).mean(0)
        fires = means > 0.5 * means.mean()
        assert fires.sum() > 1
        mean_now = torch.stack([rescaled(photo)[layer].mean((0, 2, 3)) for photo in photos]).mean(0)
        torch.testing.assert_close(mean_now[fires], torch.ones_like(mean_now[fires]), rtol=1e-4, atol=1e-4)
        image = random_images(1, 3, 20, 20, seed=3)
        expected = network(image)[layer][:, fires] / means[fires][:, None, None]
        torch.testing.assert_close(rescaled(image)[layer][:, fires], expected, rtol=1e-3, atol=1e-4)
    assert all(torch.equal(network(photos[0])[layer], maps) for layer, maps in before.items()), "it is left alone"


@torch.no_grad()
def test_filters_that_hardly_fire_are_not_raised_to_one(vgg):
    """The floor is half of the layer's mean; what is behind them sees the same."""
    network = load_loss_network("vgg16", ["relu1_1", "relu1_2"], vgg("tiny_vgg16")[1])
    photo = random_images(1, 3, 16, 16)
    network.conv1_1_bias[0] = -1e3
    network.conv1_1_weight[1] *= 1e-4
    network.conv1_1_bias[1] *= 1e-4
    before, after = network(photo), with_mean_activation_one(network, [photo])(photo)
    means = before["relu1_1"].mean((0, 2, 3))
    expected = before["relu1_1"][:, :2] / (0.5 * means.mean())
    torch.testing.assert_close(after["relu1_1"][:, :2], expected, rtol=1e-3, atol=1e-6)
    expected = (means / means.clamp_min(0.5 * means.mean()))[2:]
    torch.testing.assert_close(after["relu1_1"][:, 2:].mean((0, 2, 3)), expected, rtol=1e-4, atol=1e-4)
    ratio = after["relu1_2"] / before["relu1_2"].clamp_min(1e-9)
    assert all(channel[channel > 1e-6].std() < 1e-3 * channel.max() for channel in ratio[0] if channel.any())


@torch.no_grad()
def test_random_weights(vgg):
    network = load_loss_network("vgg16", ["relu1_1", "relu3_3"], vgg("vgg16")[1])
    random, again, other = (with_random_weights(network, seed) for seed in (0, 0, 1))
    images = random_images(1, 3, 32, 32)
    assert torch.equal(random(images)["relu3_3"], again(images)["relu3_3"])
    assert not torch.equal(random(images)["relu3_3"], other(images)["relu3_3"])
    assert random.conv2_1_weight.shape == network.conv2_1_weight.shape
    assert random.conv2_1_weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.01)
    first, third = (random(images)[layer].square().mean() for layer in ("relu1_1", "relu3_3"))
    assert 0.1 < third / first < 10, "activations keep their scale"


def test_cut_off_at_the_deepest_layer(vgg):
    network = load_loss_network("vgg16", ["relu1_2", "relu3_1"], vgg("tiny_vgg16")[1])
    held = {name.rsplit("_", 1)[0] for name, _ in network.named_buffers()}
    assert held == {"input", "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"}


def test_layers_argument_stops_early(vgg, monkeypatch):
    network = load_loss_network("vgg16", ["relu1_2", "relu2_2", "relu4_3"], vgg("tiny_vgg16")[1])
    images = random_images(1, 3, 16, 16)
    everything = network(images)
    run = []
    convolve = network._convolve
    monkeypatch.setattr(network, "_convolve", lambda x, name, *rest: run.append(name) or convolve(x, name, *rest))
    features = network(images, ["relu2_2"])
    assert list(features) == ["relu2_2"]
    assert torch.equal(features["relu2_2"], everything["relu2_2"])
    assert run == ["input", "conv1_1", "conv1_2", "conv2_1", "conv2_2"]


def test_unknown_layer_lists_the_known_ones(vgg):
    with pytest.raises(LossNetworkError, match="relu3_4.*relu1_1, relu1_2, pool1, .*relu3_3, pool3, relu4_1.*relu5_3"):
        load_loss_network("vgg16", ["relu1_1", "relu3_4"], vgg("tiny_vgg16")[1])
    with pytest.raises(LossNetworkError, match="relu1_2.*relu1_1, relu2_1, relu3_1, relu4_1, relu5_1$"):
        load_loss_network("distilled", ["relu1_2"])  # has no head there


def test_unknown_network_lists_the_known_ones():
    with pytest.raises(FastStyleError, match="resnet.*" + ", ".join(LOSS_NETWORKS)):
        load_loss_network("resnet", ["relu1_1"])


@pytest.mark.parametrize("name", ["distilled", "vgg16_lowrank", "vgg16", "vgg19_small"])
def test_missing_or_wrong_weights(tmp_path, name):
    missing, text = tmp_path / "none.pth", tmp_path / "text.pth"
    text.write_text("not weights")
    for path in (missing, text):
        with pytest.raises(LossNetworkError, match=f"cannot read .*{path}"):
            load_loss_network(name, ["relu1_1"], str(path))


def test_weights_of_something_else(vgg, tmp_path):
    path = tmp_path / "half.pth"
    state_dict = torch.load(vgg("tiny_vgg16")[1])
    del state_dict["features.14.weight"]
    torch.save(state_dict, path)
    with pytest.raises(LossNetworkError, match="not torchvision vgg16 weights: features.14.weight is missing"):
        load_loss_network("vgg16", ["relu1_1"], str(path))
    with pytest.raises(LossNetworkError, match="not vgg19_small weights"):
        load_loss_network("vgg19_small", ["relu1_1"], str(DISTILLED))
    with pytest.raises(LossNetworkError, match="loss_network.weights="):
        load_loss_network("vgg19_small", ["relu1_1"])


# --- download


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    return tmp_path / "torch_home"


def set_url(monkeypatch, url):
    monkeypatch.setattr(torchvision.models, "get_weight", lambda name: SimpleNamespace(url=url))


def test_weights_are_downloaded_once(vgg, serve, torch_home, tmp_path, monkeypatch):
    path = vgg("tiny_vgg16")[1]
    name = f"vgg16-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"  # as torchvision names its files
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / name).write_bytes(path.read_bytes())
    with serve(tmp_path / "web") as address:
        set_url(monkeypatch, f"{address}/{name}")
        downloaded = load_loss_network("vgg16", ["relu2_2"])
    assert (torch_home / "hub" / "checkpoints" / name).is_file()
    again = load_loss_network("vgg16", ["relu2_2"])  # the server is down
    for (name, expected), one, other in zip(
        load_loss_network("vgg16", ["relu2_2"], path).named_buffers(),
        downloaded.buffers(),
        again.buffers(),
        strict=True,
    ):
        assert torch.equal(one, expected) and torch.equal(other, expected), name


def test_damaged_download(vgg, serve, torch_home, tmp_path, monkeypatch):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "vgg16-00000000.pth").write_bytes(vgg("tiny_vgg16")[1].read_bytes())
    with serve(tmp_path / "web") as address:
        set_url(monkeypatch, f"{address}/vgg16-00000000.pth")
        with pytest.raises(LossNetworkError, match="hash"):
            load_loss_network("vgg16", ["relu2_2"])
    assert not list(torch_home.rglob("*.pth"))


def test_unreachable_server(serve, torch_home, tmp_path, monkeypatch):
    with serve(tmp_path) as address:
        url = f"{address}/vgg16-397923af.pth"
    set_url(monkeypatch, url)  # nobody listens there any more
    with pytest.raises(LossNetworkError) as caught:
        load_loss_network("vgg16", ["relu2_2"])
    message = str(caught.value)
    assert url in message and str(torch_home / "hub" / "checkpoints" / "vgg16-397923af.pth") in message
    assert "loss_network.weights=" in message and "loss_network=vgg16_lowrank" in message


# --- the small networks


@torch.no_grad()
def test_vgg19_small_follows_its_description(shared):
    path = shared / "weights" / "vgg19_small.safetensors"
    weights = load_file(path)
    conv = lambda x, name: F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"])  # noqa: E731
    images = random_images(1, 3, 48, 32)
    x, heads, bare = conv(images, "conv0"), {}, {}
    for block, count in enumerate((2, 2, 4, 4, 1), start=1):
        for layer in range(1, count + 1):
            x = F.relu(conv(F.pad(x, (1, 1, 1, 1), mode="reflect"), f"conv{block}{layer}"))
            if layer == 1:
                heads[f"relu{block}_1"], bare[f"relu{block}_1"] = F.relu(conv(x, f"conv{block}1_aux")), x
        x = F.max_pool2d(x, 2)
    for expected, options in ((heads, {}), (bare, {"heads": False})):
        features = load_loss_network("vgg19_small", DISTILLED_LAYERS, path, **options)(images)
        for layer in DISTILLED_LAYERS:
            torch.testing.assert_close(features[layer], expected[layer], rtol=1e-4, atol=1e-4)


def test_distilled_is_small_and_says_where_it_comes_from():
    assert DISTILLED.stat().st_size <= 2e6
    with safe_open(DISTILLED, "pt") as file:
        metadata = file.metadata()
    assert metadata["command"].startswith("python scripts/distill_loss_network.py ")
    assert "images" in metadata["data"]
    assert "(MIT" in metadata["teacher"] or "BSD" in metadata["teacher"], "its licence"


@torch.no_grad()
def test_distilled_has_features_at_every_scale():
    network = load_loss_network("distilled", DISTILLED_LAYERS)
    features = network(random_images(2, 3, 64, 48))
    for level, layer in enumerate(DISTILLED_LAYERS):
        assert features[layer].shape[2:] == (64 >> level, 48 >> level) and features[layer].std() > 0.01
    flat = network(torch.full((1, 3, 64, 48), 0.5))
    assert all((features[layer][:1] - flat[layer]).abs().mean() > 0.01 for layer in DISTILLED_LAYERS)


@torch.no_grad()
def test_distilled_agrees_with_its_teacher_on_style(shared):
    """Style distances carry over: two pictures are as far apart for the student as for the teacher."""
    paths = [shared / "data/styles" / f"{name}.jpg" for name in ("wave", "mosaic", "la_muse", "candy")]
    paths += sorted((shared / "data/photos").glob("*.jpg"))[-4:]
    pictures = [resize_short_side(read_image(path)[0], 128)[None, :, :128, :128] for path in paths]
    networks = [
        load_loss_network("distilled", DISTILLED_LAYERS),
        load_loss_network("vgg19_small", DISTILLED_LAYERS, str(shared / "weights/vgg19_small.safetensors")),
    ]
    grams = [[{k: gram_matrix(f) for k, f in net(picture).items()} for picture in pictures] for net in networks]
    for layer, least in zip(DISTILLED_LAYERS, (0.99, 0.98, 0.97, 0.9, 0.7), strict=True):
        distances = [
            [float(relative_error(a[layer], b[layer])) for i, a in enumerate(seen) for b in seen[:i]] for seen in grams
        ]
        assert torch.corrcoef(torch.tensor(distances).log())[0, 1] > least, layer


def test_low_rank_is_small_and_says_where_it_comes_from():
    assert LOW_RANK.stat().st_size <= 2e6
    with safe_open(LOW_RANK, "pt") as file:
        metadata = file.metadata()
    assert "scripts.factorize_vgg16" in metadata["command"] and "photos" in metadata["data"]
    assert "CC BY 4.0" in metadata["teacher"] and metadata["changes"]


@torch.no_grad()
def test_low_rank_is_a_vgg_of_composed_filters():
    """A 3x1 convolution and a 1x3 one are a 3x3 convolution, zero padding included."""
    tensors = load_file(LOW_RANK)
    images = random_images(1, 3, 18, 23)
    mean = torch.tensor([123.68, 116.779, 103.939])[:, None, None]
    x, expected = images.double() * 255 - mean, {}
    for block, count in enumerate((2, 2, 3, 3), start=1):
        for layer in range(1, count + 1):
            filters = {
                kind: tensors[f"{kind}{block}_{layer}.weight"].double()
                * tensors[f"{kind}{block}_{layer}.scale"].double()[:, None, None, None]
                for kind in ("columns", "conv")
                if f"{kind}{block}_{layer}.weight" in tensors
            }
            weight = filters["conv"]
            if "columns" in filters:
                weight = torch.einsum("oryx,riYX->oiYx", weight, filters["columns"])
            x = F.relu(F.conv2d(x, weight, tensors[f"conv{block}_{layer}.bias"].double(), padding=1))
            expected[f"relu{block}_{layer}"] = x
        x = F.max_pool2d(x, 2)
    features = load_loss_network("vgg16_lowrank", list(expected))(images)
    for layer, maps in expected.items():
        assert float(relative_error(features[layer].double(), maps)) < 1e-8, layer


@torch.no_grad()
def test_low_rank_agrees_with_vgg16(shared):
    """Features and Gram matrices of paintings and photos, in the layers of the paper."""
    paths = [shared / "data/styles" / f"{name}.jpg" for name in ("wave", "candy")]
    paths += sorted((shared / "data/photos").glob("*.jpg"))[-2:]
    low_rank = load_loss_network("vgg16_lowrank", PAPER_LAYERS)
    vgg16 = load_loss_network("vgg16_caffe", PAPER_LAYERS, str(shared / "weights/vgg16_caffe.pth"))
    for picture in (resize_short_side(read_image(path)[0], 192)[None, :, :192, :192] for path in paths):
        features, wanted = low_rank(picture), vgg16(picture)
        for layer, most in zip(PAPER_LAYERS, (0.001, 0.02, 0.1, 0.4), strict=True):
            assert float(relative_error(features[layer], wanted[layer])) < most, layer
            grams = (gram_matrix(seen[layer]) for seen in (features, wanted))
            assert float(relative_error(*grams)) < most, layer


@torch.no_grad()
def test_low_rank_networks_are_rescaled_and_made_random(vgg):
    photo = random_images(1, 3, 24, 24)
    network = load_loss_network("vgg16_lowrank", ["relu1_2", "relu2_1"])
    rescaled = with_mean_activation_one(network, [photo])(photo)
    for layer, maps in network(photo).items():
        means = maps.mean((0, 2, 3))
        fires = means > 0.5 * means.mean()
        expected = maps[:, fires] / means[fires][:, None, None]
        torch.testing.assert_close(rescaled[layer][:, fires], expected, rtol=1e-3, atol=1e-4)
    first, second = (maps.square().mean() for maps in with_random_weights(network, 0)(photo).values())
    assert 0.1 < first / second < 10, "activations keep their scale"


@pytest.mark.parametrize("name", ["distilled", "vgg16_lowrank", "vgg16"])
def test_frozen(vgg, name):
    network = load_loss_network(name, ["relu1_1", "relu2_1"], vgg("tiny_vgg16")[1] if name == "vgg16" else None)
    assert list(network.parameters()) == [] and list(network.state_dict()) == []
    images = random_images(1, 3, 16, 16).requires_grad_()
    sum(maps.square().sum() for maps in network(images).values()).backward()
    assert images.grad.abs().sum() > 0
    assert all(buffer.grad is None and not buffer.requires_grad for buffer in network.buffers())
    assert all(buffer.dtype == torch.float32 for buffer in network.buffers())


@pytest.mark.parametrize("name", ["distilled", "vgg16_lowrank", "vgg16"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (17, 1)])
@torch.no_grad()
def test_every_size_has_features(vgg, name, size):
    layers = DISTILLED_LAYERS[: 4 if name == "vgg16_lowrank" else 5]
    network = load_loss_network(name, layers, vgg("tiny_vgg16")[1] if name == "vgg16" else None)
    images = random_images(1, 3, *size)
    before = images.clone()
    features = network(images)
    assert all(maps.isfinite().all() and maps.numel() for maps in features.values())
    assert features["relu1_1"].shape[2:] == size
    assert torch.equal(images, before), "the input was changed"
