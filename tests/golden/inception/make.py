"""Makes golden.npz: what torch-fidelity's Inception network gives on one random weight file.

    pip download --no-deps torch-fidelity==0.4.0 && unzip torch_fidelity-*.whl -d FOLDER
    python tests/golden/inception/make.py FOLDER

torch-fidelity imports torchvision where it is imported as a whole; its network alone does not.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import torch

from undrift.metrics.features.inception_network import InceptionNetwork

sys.path.insert(0, str(Path(__file__).parent))
from random_weights import images, random_weights  # noqa: E402


def main(folder: str) -> None:
    package = types.ModuleType("torch_fidelity")
    package.__path__ = [str(Path(folder) / "torch_fidelity")]  # its __init__ is not run
    sys.modules["torch_fidelity"] = package
    module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    resize = importlib.import_module("torch_fidelity.interpolate_compat_tensorflow")
    with torch.device("meta"):
        own = InceptionNetwork().state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "weights.pth"
        torch.save(random_weights(shapes), path)
        network = module.FeatureExtractorInceptionV3(
            "inception-v3-compat",
            ["2048", "logits_unbiased"],
            feature_extractor_weights_path=str(path),
        )
    # it was loaded strictly: these are its own names, not only ours
    found = {"names": np.array(sorted(network.state_dict()))}
    for index, block in enumerate(images()):
        levels = torch.from_numpy(block).permute(0, 3, 1, 2)
        with torch.no_grad():
            features, logits = network(levels)
        found[f"features{index}"] = features.numpy()
        found[f"logits{index}"] = logits.numpy()
        resized = resize.interpolate_bilinear_2d_like_tensorflow1x(
            levels.float(), size=(299, 299), align_corners=False
        )
        found[f"resized{index}"] = resized[0, :, ::23, ::19].numpy()
        print(block.shape, features.mean(), features.std(), logits.std())
    np.savez_compressed(Path(__file__).with_name("golden.npz"), **found)


main(sys.argv[1])
