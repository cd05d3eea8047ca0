r"""Serves a web page where a video can be dropped, to see what a model makes of it.

    pip install --constraint constraints.txt --editable '.[demo]'
    python -m experiments.demo --model models/demo

The page shows the video, its optical flow in colours, where the networks see their
class, the classes of RGB, flow and both, and how they change over time. It listens on
this machine alone, at http://127.0.0.1:7860, unless --host says otherwise: whoever
reaches the page can upload videos, and there is no password.
"""

import tempfile

from absl import flags

from experiments import command
from flow.tvl1 import ENGINES, TVL1

_MODEL = flags.DEFINE_string("model", None, command.MODEL, required=True)
_HOST = flags.DEFINE_string(
    "host", "127.0.0.1", "Address to listen on; 0.0.0.0: to all networks."
)
_PORT = flags.DEFINE_integer("port", 7860, "To listen on.", 1, 65535)
_SECONDS = flags.DEFINE_integer("max_seconds", 30, "Of a video at most.", 1)
_MEGABYTES = flags.DEFINE_integer("max_megabytes", 100, "Of a file at most.", 1)
_ENGINE = flags.DEFINE_enum("engine", TVL1.engine, ENGINES, "TV-L1 implementation.")


def main():
    try:
        from i3d_tf.demo_page import build_page, launch
    except ModuleNotFoundError as error:
        raise ValueError(f"experiments.demo needs the extra [demo]: {error}") from error
    from i3d_tf.prediction import Predictor

    predictor = Predictor(_MODEL.value, engine=_ENGINE.value)
    with tempfile.TemporaryDirectory() as folder:
        page = build_page(
            predictor,
            folder,
            max_seconds=_SECONDS.value,
            max_megabytes=_MEGABYTES.value,
        )
        address = launch(page, _HOST.value, _PORT.value, _MEGABYTES.value)
        print(f"{address} (Ctrl-C ends it)", flush=True)
        page.block_thread()


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
