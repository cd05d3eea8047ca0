"""One video and its flow video -> the aligned, encoded frames of a record."""

import json

import cv2
import numpy as np

from flow.flow_video import check_source, describe_flow_video
from flow.paired_frames import check_pair, paired_frames
from flow.process import show_progress
from flow.video import VideoError
from i3d_tf.datasets.pairing import part_of, within

RGB_QUALITY = 90
# At 100 a code decoded with INTEGER_ACCURATE is at most 1 (0.16 px) off, 2 in a value
# of 100,000 (up to 14 with TensorFlow's default, INTEGER_FAST), and unlike PNG and WebP
# a JPEG can be decoded in part: reading takes only the crop.
FLOW_QUALITY = 100
# Of a record, which is in memory as a whole, several times where processes encode, and
# must stay below the 2 GB of a protocol buffer. 20 minutes of 256x341 px have as much.
MAX_BYTES = 1 << 29


def encode_pair(source, flow, *, start=None, end=None, maybe_cut=False):
    """Pairs RGB frame k with the flow from frame k - 1 to k, k = 1 ... N - 1.

    Of a part of the video the frames are those with start <= k / fps < end.

    Args:
      source: path of the video.
      flow: path of its flow video; its tags say at which rate and size the video
        is to be read.
      start, end: the part in seconds, or None for all of it.
      maybe_cut: see `part_of`.

    Returns:
      {"rgb": [N - 1] JPEG bytes of [H, W, 3], "flow": [N - 1] JPEG bytes of grey
      [2 * H, W], u above v, "height": H, "width": W, "fps": frames per second,
      "start", "end": seconds of the video, "flow_metadata": the tags as JSON}.

    Raises:
      VideoError: if either cannot be read, they differ in size, length or source, or
        the part has no pair or more than MAX_BYTES.
    """
    made = describe_flow_video(flow)
    check_source(source, made)
    start, end = part_of(source, made["duration"], start, end, maybe_cut)
    rgb, codes, encoded = [], [], 0
    pairs = paired_frames(source, flow, made)
    for image, code in within(pairs, made["fps"], start, end):
        check_pair(source, flow, image, code)
        rgb.append(_jpeg(image[..., ::-1], RGB_QUALITY))
        codes.append(_jpeg(np.concatenate([code[..., 0], code[..., 1]]), FLOW_QUALITY))
        encoded += len(rgb[-1]) + len(codes[-1])
        if encoded > MAX_BYTES:
            raise VideoError(
                f"{source}: {len(rgb) / made['fps']:.0f} s of it fill "
                f"{MAX_BYTES >> 20} MB, the most that a record may have; list shorter "
                "parts of it"
            )
        show_progress()
    if not rgb:
        raise VideoError(f"{source}: from {start:g} to {end:g} s there is no frame")
    height, width = image.shape[:2]
    return {
        "rgb": rgb,
        "flow": codes,
        "height": height,
        "width": width,
        "fps": made["fps"],
        "start": start,
        "end": min(end, made["duration"]),
        "flow_metadata": json.dumps(made),
    }


def _jpeg(image, quality):
    # A Huffman code of its own makes flow 14 % smaller, RGB 4 %, for 0.3 ms a frame.
    options = cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1
    _, data = cv2.imencode(".jpg", image, options)
    return data.tobytes()
