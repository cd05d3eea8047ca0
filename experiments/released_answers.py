"""Answers of DeepMind's released networks to their own sample, as published.

The sample is UCF101's v_CricketShot_g04_c01, 79 frames. Of the ImageNet-pretrained
networks the README and `out/imagenet_{rgb,flow,joint}.txt` of kinetics-i3d give the
norm of the 400 logits and the 20 largest with six digits. Of the networks trained from
scratch the first commit of the repository gives the norm and the first few; its later
files named `scratch_*` repeat the ImageNet-pretrained ones.
"""

import typing


class Answer(typing.NamedTuple):
    """A published answer.

    Attributes:
      norm: norm of the logits.
      top: (class, logit, probability or None), the largest logit first.
    """

    norm: float
    top: tuple[tuple[str, float, float | None], ...]


SCRATCH = {
    "rgb": Answer(
        87.217987,
        (
            ("playing cricket", 19.4886, 0.996896),
            ("robot dancing", 12.6938, None),
            ("pumping fist", 12.3322, None),
            ("breakdancing", 11.6732, None),
        ),
    ),
    "flow": Answer(
        85.503799,
        (("playing cricket", 15.4269, None), ("hurling (sport)", 13.6819, None)),
    ),
    "both": Answer(162.726547, (("playing cricket", 34.9155, None),)),
}
IMAGENET = {
    "rgb": Answer(
        87.108887,
        (
            ("playing cricket", 25.8566, 0.999997),
            ("playing kickball", 12.3303, 1.33535e-06),
            ("catching or throwing baseball", 11.2544, 4.55314e-07),
            ("shooting goal (soccer)", 10.8839, 3.14343e-07),
            ("catching or throwing softball", 10.3931, 1.92433e-07),
            ("throwing discus", 10.0083, 1.30966e-07),
            ("javelin throw", 9.80451, 1.06818e-07),
            ("golf putting", 9.6816, 9.44642e-08),
            ("jogging", 9.49558, 7.84293e-08),
            ("hitting baseball", 9.49032, 7.80177e-08),
            ("triple jump", 9.32433, 6.60852e-08),
            ("hurling (sport)", 8.68525, 3.48785e-08),
            ("skateboarding", 8.53344, 2.99657e-08),
            ("hurdling", 8.18189, 2.10839e-08),
            ("playing tennis", 8.13307, 2.00793e-08),
            ("breakdancing", 8.04867, 1.8454e-08),
            ("hammer throw", 7.96958, 1.70509e-08),
            ("shot put", 7.96686, 1.70045e-08),
            ("long jump", 7.81519, 1.46114e-08),
            ("headbutting", 7.79186, 1.42745e-08),
        ),
    ),
    "flow": Answer(
        63.252743,
        (
            ("playing cricket", 15.957, 0.947757),
            ("hurling (sport)", 12.8087, 0.0406822),
            ("playing tennis", 10.527, 0.00415416),
            ("playing squash or racquetball", 10.0088, 0.00247407),
            ("hitting baseball", 9.42503, 0.00138002),
            ("catching or throwing baseball", 8.87974, 0.000799958),
            ("sword fighting", 8.86316, 0.000786803),
            ("catching or throwing softball", 8.83245, 0.000763013),
            ("hammer throw", 7.6928, 0.000244111),
            ("playing badminton", 7.48108, 0.000197531),
            ("pumping fist", 6.35917, 6.43276e-05),
            ("tai chi", 6.35295, 6.39287e-05),
            ("training dog", 5.85761, 3.89561e-05),
            ("catching or throwing frisbee", 5.74437, 3.47851e-05),
            ("throwing ball", 5.60679, 3.0314e-05),
            ("celebrating", 5.57013, 2.9223e-05),
            ("shot put", 5.56051, 2.89432e-05),
            ("playing ice hockey", 5.33861, 2.31833e-05),
            ("golf putting", 5.29558, 2.2207e-05),
            ("pole vault", 5.27761, 2.18114e-05),
        ),
    ),
    "both": Answer(
        138.468643,
        (
            ("playing cricket", 41.8137, 1.0),
            ("hurling (sport)", 21.494, 1.49716e-09),
            ("catching or throwing baseball", 20.1341, 3.84312e-10),
            ("catching or throwing softball", 19.2256, 1.54923e-10),
            ("hitting baseball", 18.9154, 1.13602e-10),
            ("playing tennis", 18.6601, 8.80112e-11),
            ("playing kickball", 17.3779, 2.44157e-11),
            ("playing squash or racquetball", 16.6278, 1.15319e-11),
            ("shooting goal (soccer)", 15.9962, 6.13194e-12),
            ("hammer throw", 15.6624, 4.39177e-12),
            ("golf putting", 14.9772, 2.21341e-12),
            ("throwing discus", 14.6717, 1.63072e-12),
            ("javelin throw", 14.6181, 1.54564e-12),
            ("pumping fist", 13.9173, 7.66915e-13),
            ("shot put", 13.5274, 5.19298e-13),
            ("celebrating", 13.3313, 4.26817e-13),
            ("applauding", 12.8809, 2.72057e-13),
            ("throwing ball", 12.4875, 1.8357e-13),
            ("dodgeball", 12.3585, 1.61348e-13),
            ("tap dancing", 12.0101, 1.13884e-13),
        ),
    ),
}
PUBLISHED = {"imagenet": IMAGENET, "scratch": SCRATCH}
