"""`data/extract.py` with networks of timm and torch, drawn at random: nothing is downloaded."""

import sys
from pathlib import Path

import extract
import miniatures
import numpy as np
import pytest
import timm
import torch
from backbone import load_backbone
from images import centre
from miniatures import BUILD, picture
from synthetic import call, files
from torchvision import transforms

from hier_ref.features.contract import read_features

VIT, RESNET = "vit_tiny_patch16_224", "resnet18"
SMALL = "test_vit"  # 160 x 160, 0.4 million weights


def save_weights(name, path, seed=0, **options):
    """Write the weights of a model drawn at random."""
    torch.manual_seed(seed)
    torch.save(timm.create_model(name, **options).state_dict(), path)
    return Path(path)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("socket.socket.connect", None)  # a download would raise
    miniatures.folder(Path("images"))
    return save_weights(SMALL, "small.pth")


def run(*argv, layout="folder", root="images", out="x.npz", backbone=SMALL, weights="small.pth"):
    options = ("--backbone", backbone, "--weights", weights, "--device", "cpu", "--batch", 5)
    return call(extract.main, layout, root, out, *options, *argv)


def refused(**options):
    ended = run(**options)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    assert not Path("x.npz").exists() and not Path("x.npz.work").exists()
    return ended.err


@pytest.mark.parametrize("layout", BUILD)
def test_features_are_those_of_the_network_on_each_image(layout):
    """By torchvision's own transforms and the network alone, image by image."""
    BUILD[layout](Path("set"))
    ended = run(layout=layout, root="set")
    assert ended.code == 0, ended
    found = read_features("x.npz")
    model = timm.create_model(SMALL, checkpoint_path="small.pth").eval()
    model.reset_classifier(0)
    view = transforms.Compose(
        [
            transforms.Resize(183, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(160),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )
    for path, features in zip(found.paths, found.features, strict=True):
        with miniatures.Image.open(Path("set", path)) as image, torch.inference_mode():
            want = model(view(image.convert("RGB"))[None])[0].numpy()
        scale = np.abs(want).max()
        assert np.abs(features - want).max() < 1e-5 * scale


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (256, 256), (40, 30), (641, 427), (7, 9)])
def test_the_centre_has_the_very_pixels_of_torchvision(size):
    image = picture(size=size)
    resize = transforms.Resize(256, transforms.InterpolationMode.BICUBIC)
    want = transforms.CenterCrop(224)(resize(image))
    np.testing.assert_array_equal(np.asarray(centre(image)), np.asarray(want))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_an_interrupted_run_ends_with_the_same_bytes(monkeypatch, dtype):
    assert run("--dtype", dtype, out="x").code == 0
    calls = iter(range(1))

    def interrupted(name, weights, device):
        found = load_backbone(name, weights, device)

        def embed(images):
            if next(calls, None) is None:
                raise KeyboardInterrupt
            return found.embed(images)

        return found._replace(embed=embed)

    with monkeypatch.context() as patch:
        patch.setattr(extract, "load_backbone", interrupted)
        assert run("--dtype", dtype, out="y").code == 130
    ended = run("--dtype", dtype, out="y")
    assert ended.code == 0 and "1 of 3 batches done" in ended.out
    assert files("x") == files("y")
    assert read_features("x").features.dtype == dtype


def test_other_weights_do_not_go_on_with_a_run(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(extract, "watched", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run().code == 130
    ended = run(weights=save_weights(SMALL, "other.pth", seed=1))
    assert ended.code == 2 and "begun with weights " in ended.err


@pytest.mark.parametrize(
    ("name", "mean", "std", "crop"),
    [
        (VIT, [0.5] * 3, [0.5] * 3, 224),
        (RESNET, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 224),
        ("vit_small_patch16_224.dino", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 224),
    ],
)
def test_the_input_is_that_of_timms_data_config(name, mean, std, crop):
    found = load_backbone(name, save_weights(name.split(".")[0], "w.pth", num_classes=0), "cpu")
    assert (list(found.mean), list(found.std), found.crop) == (mean, std, crop)


def test_a_convolutional_network_is_pooled():
    weights = save_weights(RESNET, "resnet.pth")
    assert run(backbone=RESNET, weights=weights).code == 0
    assert read_features("x.npz").features.shape == (12, 512)


def test_weights_may_come_with_the_classifier_or_without():
    bare = save_weights(SMALL, "bare.pth")
    state = torch.load(bare)
    torch.save({key: a for key, a in state.items() if not key.startswith("head.")}, bare)
    assert run(out="bare.npz", weights=bare).code == run().code == 0
    assert files(".")["bare.npz"] == files(".")["x.npz"]


# ---- Refused, in one line


def test_an_unknown_model_is_refused():
    assert "--backbone birdnet: no model of timm" in refused(backbone="birdnet")


def test_missing_weights_are_refused():
    assert "no.pth: expected weights of test_vit" in refused(weights="no.pth")


def test_weights_of_another_model_are_refused():
    assert "expected weights of test_vit" in refused(weights=save_weights(RESNET, "w.pth"))


def test_weights_with_a_part_missing_are_refused():
    state = torch.load("small.pth")
    del state["norm.weight"]
    torch.save(state, "w.pth")
    assert "norm.weight" in refused(weights="w.pth")


def test_weights_that_would_run_code_are_refused():
    torch.save({"state_dict": Path("x"), "f": print}, "w.pth")
    assert "expected weights of test_vit" in refused(weights="w.pth")


@pytest.mark.parametrize("device", ["tpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device):
    words = ("--backbone", SMALL, "--weights", "small.pth", "--device", device)
    ended = call(extract.main, "folder", "images", "x.npz", *words)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(f"error: --device {device}: ")


def test_too_little_memory_on_the_device_is_told(monkeypatch):
    def full(_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr(torch, "from_numpy", full)
    ended = run()
    assert ended.code == 2
    assert ended.err.endswith("error: cpu: out of memory, take a smaller --batch\n")


def test_weights_that_cannot_be_downloaded_are_refused(monkeypatch):
    def offline(*_, **__):
        raise OSError("offline\nno route")

    monkeypatch.setattr(timm, "create_model", offline)
    ended = call(extract.main, "folder", "images", "x.npz")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "error: --backbone vit_small_patch16_224: cannot get timm's weights (offline no route)\n"
    )


def test_a_torchvision_that_does_not_fit_is_told(monkeypatch):
    class Broken:
        def find_spec(self, name, *_):
            if name == "timm":
                raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.delitem(sys.modules, "timm")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert "cannot import timm (operator torchvision::nms does not exist); expected" in refused()
