"""Videos to look at, decoded again."""

import av
import numpy as np
import pytest

from flow import film


def pictures(count=6, height=24, width=40):
    """A grey ramp that grows brighter, and a block in a colour of its own."""
    ramp = np.linspace(0, 150, width).astype(np.uint8)
    shown = np.empty((count, height, width, 3), np.uint8)
    for number in range(count):
        shown[number] = (ramp + 15 * number)[:, None]
        shown[number, 4:12, 4 + 4 * number : 12 + 4 * number] = 255, 40, 0
    return shown


def decode(path):
    """The frames `[T, H, W, 3]`, their starts in seconds, and the stream's codec."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        starts = [float(frame.pts * frame.time_base) for frame in frames]
        shown = [frame.to_ndarray(format="rgb24") for frame in frames]
        return np.stack(shown), starts, stream.codec_context


def test_mp4_plays_everywhere(tmp_path):
    shown = pictures()
    film.write_mp4(tmp_path / "a.mp4", iter(shown), 29.97)
    found, starts, codec = decode(tmp_path / "a.mp4")
    assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
    np.testing.assert_allclose(starts, np.arange(6) / 29.97, atol=1e-4)
    assert np.abs(found.astype(int) - shown).mean() < 4
    # The index is in front of the pictures.
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_gif_has_all_pictures_in_colours_of_its_own(tmp_path):
    shown = pictures(height=23, width=41)
    film.write_gif(tmp_path / "a.gif", lambda: iter(shown), 25)
    found, starts, codec = decode(tmp_path / "a.gif")
    assert codec.name == "gif" and found.shape == shown.shape
    np.testing.assert_allclose(starts, np.arange(6) / 25, atol=1e-6)
    # A fixed palette of 256 colours would be 20 and more off.
    assert np.abs(found.astype(int) - shown).max() <= 8
    assert (tmp_path / "a.gif").read_bytes().count(b"NETSCAPE2.0\x03\x01\0\0") == 1


def test_gif_in_memory_is_the_file(tmp_path):
    shown = pictures()
    film.write_gif(tmp_path / "a.gif", lambda: iter(shown), 25)
    assert film.gif_bytes(shown, 25) == (tmp_path / "a.gif").read_bytes()
    with pytest.raises(ValueError, match="GIF: a video needs at least one picture"):
        film.gif_bytes(shown[:0], 25)


def test_pictures_that_cannot_be_written(tmp_path):
    odd = pictures(height=23)
    with pytest.raises(ValueError, match="a.mp4: pictures of 40x23 px; sides must be"):
        film.write_mp4(tmp_path / "a.mp4", odd, 25)
    with pytest.raises(ValueError, match="a.mp4: a video needs at least one picture"):
        film.write_mp4(tmp_path / "a.mp4", [], 25)
    with pytest.raises(ValueError, match="a.gif: a video needs at least one picture"):
        film.write_gif(tmp_path / "a.gif", list, 25)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", [film.write_mp4, film.write_gif])
def test_one_picture_is_held_at_a_time(tmp_path, write):
    """What was shown may be overwritten with the next one."""
    shown = pictures()
    page = np.empty_like(shown[0])

    def pages():
        for picture in shown:
            page[:] = picture
            yield page

    path = tmp_path / f"a{'.mp4' if write is film.write_mp4 else '.gif'}"
    write(path, pages() if write is film.write_mp4 else pages, 25)
    assert np.abs(decode(path)[0].astype(int) - shown).mean() < 4


def test_pictures_that_no_encoder_takes_are_told(tmp_path):
    pictures = np.zeros((1, 17000, 16, 3), np.uint8)
    with pytest.raises(ValueError, match="of 16x17000 px cannot be encoded by"):
        film.write_mp4(tmp_path / "x.mp4", pictures, 25)
    assert not list(tmp_path.iterdir())
