"""What `make demo` made, in a page of text and pictures.

    python -m experiments.demo_report --demo demo --target 0.9

Leaves report.md and sample_frames.png in the demo's folder. Exits 0 only if the
fused top-1 reaches the target.
"""

import itertools
import json
import pathlib

from absl import flags

from experiments import command

_DEMO = flags.DEFINE_string("demo", "demo", "Folder of the demo.")
_TARGET = flags.DEFINE_float(
    "target", 0.9, "Fused top-1 asked for, 0 for a short demo."
)

# One of each motion and each colour.
SHOWN = ("SlideRed", "BounceGreen", "CircleBlue")


def main():
    demo = pathlib.Path(_DEMO.value)
    results = _read(demo / "run/evaluation/results.json")
    prediction = _read(demo / "prediction/prediction.json")
    _sample_frames(demo)
    text = _report(demo, results, prediction)
    if not _TARGET.value:
        text = text.replace("# Demo", "# Shortened demo: no accuracy is expected", 1)
    (demo / "report.md").write_text(text, "utf-8")
    print(text)
    fused = results["fused"]["top1"]
    if fused < _TARGET.value:
        command.fail(f"fused top-1 is {fused:.1%}, the target {_TARGET.value:.0%}")
    print(f"{demo}/report.md: this report with its pictures")


def _read(path):
    if not path.is_file():
        raise ValueError(f"{path}: is missing; run `make demo`")
    return json.loads(path.read_text("utf-8"))


def _sample_frames(demo):
    import numpy as np

    from flow import code
    from flow.extract import flow_path
    from flow.flow_video import describe_flow_video, read_flow_video
    from flow.video import read_video
    from i3d_tf.pictures import sample_sheet

    clips = []
    for name in SHOWN:
        video = pathlib.Path(f"{name}/v_{name}_g01_c01.avi")
        flow = demo / "flow" / flow_path(video)
        side = describe_flow_video(flow)["smaller_side"]
        frames = read_video(demo / "videos" / video, smaller_side=side)
        codes = np.stack(list(read_flow_video(flow)))
        # The first frame has no flow.
        rgb = np.stack(list(itertools.islice(frames, 1, None)))
        clips.append((name, rgb, code.decode(codes)))
    sample_sheet(clips, demo / "sample_frames.png")


def _report(demo, results, prediction):
    rows = [
        f"| {name} | {results[name]['top1']:.1%} | {results[name]['top5']:.1%} |"
        for name in ("rgb", "flow", "fused")
    ]
    best = "\n".join(
        f"- {entry['probability']:.1%} {entry['class']}"
        for entry in prediction["predictions"][:3]
    )
    return f"""# Demo

{results["videos"]} test videos, split {results["split"]} of {results["dataset"]}

| stream | top-1 | top-5 |
|---|---|---|
{chr(10).join(rows)}

Nine classes: three motions times three colours of equal luma. Flow is computed from
grey, so it can tell the motions apart but not the colours: a third is its best.

SavedModel: {demo}/model

{prediction["video"]}:
{best}

![Sample frames and flow](sample_frames.png)
![Training curves](run/history.png)
![Confusion matrix of both streams](run/evaluation/confusion_fused.png)
![The predicted clip](prediction/frames.png)
"""


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
