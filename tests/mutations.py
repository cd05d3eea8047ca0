"""Small valid videos of several containers and codecs, and damage done to them."""

import pathlib

import av
import numpy as np

FRAMES, HEIGHT, WIDTH = 24, 48, 64
# {class folder: (suffix, codec, pixel format)}
KINDS = {
    "mp4 h264": (".mp4", "libx264", "yuv420p"),
    "avi mpeg4": (".avi", "mpeg4", "yuv420p"),
    "mkv ffv1": (".mkv", "ffv1", "yuv420p"),
    "webm vp9": (".webm", "libvpx-vp9", "yuv420p"),
    "gif": (".gif", "gif", "rgb8"),
    "mov mjpeg": (".mov", "mjpeg", "yuvj420p"),
    "ts mpeg2": (".ts", "mpeg2video", "yuv420p"),
}
BLOCK = 512  # bytes that are swapped or zeroed at most
# The beginning and the end of a file hold its headers and indices.
MARGIN = 1024


def write_valid(path, codec, pixels):
    """A moving pattern of FRAMES frames at 25 fps; returns the file's bytes."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, pixels
        # With several threads x264 does not write the same bytes each time.
        stream.codec_context.thread_count = 1
        if codec == "libx264":
            stream.options = {"x264-params": "threads=1:lookahead-threads=1"}
        for k in range(FRAMES):
            image = np.stack(
                [
                    4 * (columns + 2 * k),
                    5 * (rows + k),
                    128 + 90 * np.sin((columns + rows - 3 * k) / 5),
                ],
                axis=-1,
            )
            frame = av.VideoFrame.from_ndarray(image.astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))
    return pathlib.Path(path).read_bytes()


def mutate(data, rng):
    """Bytes that differ from `data`, by one kind of damage; `rng` of `random`."""
    damage = rng.choice([flip_bits, truncate, swap_blocks, zero_block])
    while (mutated := bytes(damage(bytearray(data), rng))) == data:
        pass
    return mutated


def flip_bits(data, rng):
    for _ in range(rng.choice([1, 1, 2, 4, 16, 64])):
        data[_place(data, rng)] ^= 1 << rng.randrange(8)
    return data


def truncate(data, rng):
    return data[: rng.randrange(len(data))]


def swap_blocks(data, rng):
    size = rng.randint(1, min(BLOCK, len(data) // 3))
    first = rng.randrange(len(data) - 2 * size)
    second = rng.randint(first + size, len(data) - size)
    a, b = np.s_[first : first + size], np.s_[second : second + size]
    data[a], data[b] = data[b], data[a]
    return data


def zero_block(data, rng):
    begin = _place(data, rng)
    size = min(rng.randint(1, BLOCK), len(data) - begin)
    data[begin : begin + size] = bytes(size)
    return data


def _place(data, rng):
    """An offset: half of them where headers and indices are."""
    if rng.random() < 0.5:
        return rng.randrange(len(data))
    near = rng.randrange(min(MARGIN, len(data)))
    return near if rng.random() < 0.5 else len(data) - 1 - near
