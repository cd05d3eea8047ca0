"""The network against its own answers of before; see goldens/README.md."""

import make_goldens
import numpy as np
import pytest


@pytest.mark.parametrize("name", make_goldens.CASES)
def test_golden(name):
    with np.load(make_goldens.FOLDER / f"{name}.npz") as file:
        want = dict(file)
    got = make_goldens.answer(name)
    assert got.keys() == want.keys()
    for key, value in want.items():
        tolerance = 1e-5 * np.abs(value).max()
        np.testing.assert_allclose(
            got[key], value, rtol=0, atol=tolerance, err_msg=key, strict=True
        )


def test_every_case_has_a_golden_and_every_golden_a_case():
    files = {path.stem for path in make_goldens.FOLDER.glob("*.npz")}
    assert files == set(make_goldens.CASES)


@pytest.mark.parametrize("name", make_goldens.CASES)
def test_goldens_have_something_to_tell(name):
    """No layer is dead or cut off, and no two classes or channels are alike."""
    with np.load(make_goldens.FOLDER / f"{name}.npz") as file:
        golden = dict(file)
    logits = golden.pop("logits")
    assert len(golden) == 2 * len(make_goldens.ENDPOINTS)
    assert len(set(logits)) == make_goldens.CLASSES
    assert logits.std() > 0.5 and np.abs(logits).max() < 20
    for key, value in golden.items():
        assert 0.1 < value.std() < 5, key
        if key.endswith("_mean"):
            assert (value > 0).mean() > 0.5, key
        else:
            # Behind a ReLU, of which neither all nor none is at work.
            assert 0.3 < (value > 0).mean() < 0.7, key


@pytest.mark.parametrize("name", ["rgb_9x32x32", "flow_9x32x32"])
def test_goldens_depend_on_the_clip(name):
    stream, frames, size = make_goldens.CASES[name]
    model = make_goldens.network(stream, size)
    clip = make_goldens.clip(stream, frames, size)
    want = model(clip, training=False).numpy()
    for changed in (clip[:, ::-1], clip[:, :, ::-1], clip[..., ::-1], 0.9 * clip):
        difference = np.abs(model(changed, training=False).numpy() - want).max()
        assert difference > 0.01 * np.abs(want).max()


def test_the_formula():
    """Of 0, 1, 2: the finalizer gives 0, 0x514E28B7, 0x30F4C306; 24 bits are used."""
    want = np.float32(np.array([0, 0x514E28, 0x30F4C3]) / 2**23 - 1)
    got = make_goldens.spread((2, 2), 0)
    np.testing.assert_array_equal(got.ravel()[:3], want)
    # From any 32-bit start on, and around.
    around = make_goldens.spread((3,), 2**32 - 1)
    np.testing.assert_array_equal(around[1:], want[:2])
    assert (
        got.dtype == np.float32 and np.abs(make_goldens.spread((9999,), 5)).max() <= 1
    )
