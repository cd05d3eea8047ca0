"""The scenes of the sample videos: textured objects that move over backgrounds.

A class is a motion times a colour. The luma of a scene is the same in every colour;
the colour is in the chroma alone.
"""

import dataclasses
import math

import av
import cv2
import numpy as np

from flow.files import written_aside

FPS = 25
WIDTH, HEIGHT = 320, 240  # px

# Motion -> its part of a circle in x and y. A left-right mirror, which training
# applies at random, changes phase and direction but never the motion.
MOTIONS = {"Slide": (1, 0), "Bounce": (0, 1), "Circle": (1, 1)}
COLOURS = {"Red": (1, 0, 0), "Green": (0, 1, 0), "Blue": (0, 0, 1)}
# In classInd's order, which is not the sorted one: who sorts names gets it wrong.
CLASSES = tuple(motion + colour for motion in MOTIONS for colour in COLOURS)

# As in UCF101's first split: groups 1-7 are for testing, 8-25 for training.
TEST_GROUPS, TRAIN_GROUPS = range(1, 8), range(8, 26)

# Ranges of a scene, of which one is drawn: testing lies between the training's.
DIAMETERS = {"train": ((68, 80), (92, 100)), "test": ((82, 90),)}  # px
# With an amplitude of 30-38 px the fastest frame step is 4.5-9.2 px, and 1.4 s
# hold 0.8-1.3 periods.
PERIODS = {"train": ((26, 30), (36, 42)), "test": ((31, 35),)}  # frames
# Superellipse exponents: 2 is an ellipse, 6 nearly a rectangle.
EXPONENTS = {"train": ((2, 2.4), (4, 6)), "test": ((2.6, 3.6),)}
AMPLITUDES = (30, 38)  # px
MARGIN = 1 / 8  # of width and height; the object stays inside, safe from crops

# Grey levels 0..255. The object's are low, as blue of the same luma would clip.
OBJECT_GREY = (70, 150)
BACKGROUND_GREY = (60, 190)
BACKGROUND_CHROMA = (-12, 12)
HEADROOM = 8  # grey levels kept from 0 and 255, for the codec's errors
NOISE = 1.5  # grey levels, standard deviation
SWAY = 24  # px, reach of the hand-held camera, at most 1.5 px per frame
EDGE = 3.0  # px, width of the object's soft edge
QUANTISER = 2  # of MPEG-4, 1..31; 2 has no visible loss


@dataclasses.dataclass(frozen=True)
class Clip:
    """One clip before it is coloured; h = H / 2 and w = W / 2 as in yuv420p.

    Attributes:
      luma: `[T, H, W]` uint8, studio range 16..235.
      mask: `[T, h, w]` float32, share of the object in each chroma sample.
      chroma: `[T, h, w, 2]` float32, the background's Cb and Cr around 0.
      path: `[T, 2]` float, the object's centre (x, y) in px of the luma.
    """

    luma: np.ndarray
    mask: np.ndarray
    chroma: np.ndarray
    path: np.ndarray


def colour_chroma(colour):
    """(Cb, Cr) of a colour's most saturated hue, in full-range levels around 0.

    The hue is (R, G, B) less its luma, as far as RGB does not clip for any of the
    object's greys: clipping would change the luma.
    """
    rgb = np.asarray(COLOURS[colour], np.float64)
    hue = rgb - rgb @ (0.299, 0.587, 0.114)  # BT.601
    low, high = OBJECT_GREY
    hue *= min((255 - HEADROOM - high) / hue.max(), (HEADROOM - low) / hue.min())
    return hue[2] / 1.772, hue[0] / 1.402


def render_clip(motion, group, clip, frames, seed):
    """Renders `frames` frames of a scene (`group`, 1-25) of a motion.

    A group fixes background, object and speed, the clip position, phase and noise.
    Neither depends on the motion: all classes share their scenes.
    """
    scene = np.random.default_rng([seed, group])
    take = np.random.default_rng([seed, group, clip])

    split = "test" if group in TEST_GROUPS else "train"
    diameter, period, exponent = (
        scene.uniform(*ranges[split][scene.integers(len(ranges[split]))])
        for ranges in (DIAMETERS, PERIODS, EXPONENTS)
    )
    amplitude = scene.uniform(*AMPLITUDES)
    aspect = scene.uniform(0.85, 1)
    axes = diameter / 2 * scene.permutation([1, aspect])
    size = np.array([WIDTH, HEIGHT])
    # Larger than the frame by what the camera can move either way.
    background = _texture(scene, size + 2 * SWAY, BACKGROUND_GREY)
    cb = _texture(scene, size // 2 + SWAY, BACKGROUND_CHROMA)
    cr = _texture(scene, size // 2 + SWAY, BACKGROUND_CHROMA)
    tint = np.dstack([cb, cr])
    patch = _object(scene, axes, exponent)

    room = size * (0.5 - MARGIN) - diameter / 2 - amplitude
    centre = size / 2 + take.uniform(-room, room)
    frame = np.arange(frames)
    angle = take.uniform(0, 2 * np.pi) + frame * 2 * np.pi / period
    direction = take.choice([-1, 1])
    circle = np.stack([np.cos(angle), direction * np.sin(angle)], axis=-1)
    path = centre + amplitude * circle * MOTIONS[motion]

    # Half of the clips are hand-held, so that any motion at all is not the label.
    reach = SWAY * take.integers(2)
    beat = take.uniform(0, 2 * np.pi) + frame * 2 * np.pi / take.uniform(100, 200)
    heading = take.uniform(0, 2 * np.pi)
    camera = SWAY + reach * np.outer(np.sin(beat), [np.cos(heading), np.sin(heading)])

    luma = np.empty((frames, HEIGHT, WIDTH), np.uint8)
    mask = np.empty((frames, HEIGHT // 2, WIDTH // 2), np.float32)
    chroma = np.empty((*mask.shape, 2), np.float32)
    corner = (np.array(patch.shape[1::-1]) - 1) / 2
    for t in range(frames):
        grey = _shift(background, -camera[t], size)
        texture, cover = cv2.split(_shift(patch, path[t] - corner, size))
        grey += cover * (texture - grey)
        grey += NOISE * take.standard_normal(grey.shape, np.float32)
        luma[t] = np.rint(16 + 219 / 255 * grey.clip(0, 255))
        mask[t] = cv2.resize(cover, size // 2, interpolation=cv2.INTER_AREA)
        chroma[t] = _shift(tint, -camera[t] / 2, size // 2)
    return Clip(luma, mask, chroma, path)


def paint(clip, colour):
    """Colours a clip's object; returns `[T, H * 3 / 2, W]` uint8, yuv420p planes."""
    mixed = clip.chroma + clip.mask[..., None] * (colour_chroma(colour) - clip.chroma)
    codes = np.rint(128 + 224 / 255 * mixed).astype(np.uint8)
    planes = codes.transpose(0, 3, 1, 2).reshape(len(codes), HEIGHT // 2, WIDTH)
    return np.concatenate([clip.luma, planes], axis=1)


def _texture(rng, size, bounds):
    """Smooth noise of a `size` (width, height) in px: `[height, width]` float32."""
    width, height = size
    total = np.zeros((height, width), np.float32)
    # 8 px remain 2.4 px after the resize to a smaller side of 72: flow can follow.
    for cell in (8, 16, 32):
        grid = rng.standard_normal((height // cell + 3, width // cell + 3), np.float32)
        whole = cv2.resize(grid, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
        total += whole[cell : cell + height, cell : cell + width]
    low, high = bounds
    # +-2 standard deviations fill the range; what lies beyond is cut.
    total *= (high - low) / (4 * total.std())
    return (total + (low + high) / 2).clip(low, high)


def _object(rng, axes, exponent):
    """A textured superellipse with half axes in px: `[h, w, (grey, cover)]`."""
    half = math.ceil(max(axes)) + 4  # the cover has to end inside the patch
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    power = abs(x / axes[0]) ** exponent + abs(y / axes[1]) ** exponent
    radius = power ** (1 / exponent)
    cover = ((1 - radius) * min(axes) / EDGE + 0.5).clip(0, 1)
    grey = _texture(rng, cover.shape, OBJECT_GREY)
    return np.dstack([grey, cover]).astype(np.float32)


def _shift(image, offset, size):
    """Moves an image by (x, y) px onto a canvas of `size` (width, height)."""
    matrix = np.column_stack([np.eye(2), offset])
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR)


def write_video(path, planes):
    """Writes yuv420p planes `[T, H * 3 / 2, W]` uint8 as an MPEG-4 AVI."""
    with written_aside(path) as aside, av.open(aside, "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        # A constant quantiser: the same luma costs the same in every colour.
        stream.codec_context.qmin = stream.codec_context.qmax = QUANTISER
        stream.codec_context.codec_tag = "XVID"
        for plane in planes:
            frame = av.VideoFrame.from_ndarray(plane, format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
