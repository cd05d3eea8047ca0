"""A web page that shows what an exported model says of an uploaded video."""

import pathlib

import gradio as gr

from i3d_tf import pictures
from i3d_tf.prediction import Summary

TOP = 5
TITLE = "Two-Stream I3D"
# As they are listed, and what each is called.
_NAMES = {None: "both, 1:1", "rgb": "RGB", "flow": "flow"}
_INTRODUCTION = """# {title}

Drop a video of at most {seconds} s and {megabytes} MB. The networks see {frames} frames
at a time, 25 a second, a square of {size} px from the middle of {side} px{flow}.
"""
_LEGEND = """From left to right: the video; {flow}and, warm, where the networks see
their likeliest class, dark what they do not look at. Below, the probabilities of this
window of frames, and how they change within it."""
_LEGEND_OF_FLOW = """its optical flow, where the hue is the direction of the motion
since the previous frame and the saturation its speed; """


def build_page(predictor, folder, *, max_seconds, max_megabytes):
    """The page, a `gradio.Blocks`, of a `prediction.Predictor`.

    Args:
      predictor: the `Predictor`.
      folder: where pictures are written, each over the one of the video before.
      max_seconds: longer videos are refused.
      max_megabytes: of a file; the page tells it, `launch` makes it so.
    """
    made_for = predictor.made_for
    streams = [None, *made_for["streams"]] if len(made_for["streams"]) > 1 else [None]
    with_flow = "flow" in made_for["streams"]

    def show(video):
        if video is None:
            return [None] * (2 + len(streams))
        try:
            answers = describe(predictor, video, folder, max_seconds)
        except (ValueError, OSError) as error:
            # The path is one of this server's own.
            text = " ".join(str(error).split()).replace(f"{video}: ", "")
            raise gr.Error(
                text, title="This video cannot be used", print_exception=False
            ) from error
        return [
            str(answers["annotated"]),
            str(answers["over_time"]),
            *(dict(answers["best"][stream]) for stream in streams),
        ]

    # Files of visitors are deleted after an hour.
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(600, 3600)
    ) as page:
        gr.Markdown(
            _INTRODUCTION.format(
                title=TITLE,
                seconds=max_seconds,
                megabytes=max_megabytes,
                frames=made_for["num_frames"],
                size=made_for["size"],
                side=made_for["smaller_side"],
                flow=", and optical flow" if with_flow else "",
            )
        )
        # Not gr.Video, which takes what browsers play and no others.
        video = gr.File(label="Video", file_count="single", type="filepath")
        annotated = gr.Video(show_label=False, autoplay=True, loop=True)
        gr.Markdown(_LEGEND.format(flow=_LEGEND_OF_FLOW if with_flow else ""))
        with gr.Row():
            labels = [
                gr.Label(
                    label=_NAMES[stream] if len(streams) > 1 else "classes",
                    num_top_classes=TOP,
                )
                for stream in streams
            ]
        gr.Markdown("Over the time of the video:")
        over_time = gr.Image(show_label=False, type="filepath", buttons=["download"])
        video.change(show, video, [annotated, over_time, *labels])
    return page


def describe(predictor, video, folder, max_seconds):
    """What the page shows of a video file.

    Returns {"annotated": path of an mp4, "over_time": path of a picture, "best": {None
    (all streams) or stream name: [(class, probability), ...]}}.

    Raises ValueError if it cannot be decoded, is longer than `max_seconds` or has one
    frame.
    """
    folder = pathlib.Path(folder)
    summary, stride = Summary(), predictor.made_for["num_frames"]
    windows = summary.watch(predictor.windows(video, stride, max_seconds))
    pictures.annotate_windows(folder / "annotated.mp4", windows)
    best = {
        stream: summary.best(TOP, stream)
        for stream in (None, *predictor.made_for["streams"])
    }
    classes = [label for label, _ in best[None]]
    pictures.class_curves(
        *summary.over_time(classes), classes, folder / "over_time.png"
    )
    return {
        "annotated": folder / "annotated.mp4",
        "over_time": folder / "over_time.png",
        "best": best,
    }


def launch(page, host, port, max_megabytes):
    """Serves a page in threads of their own; returns its address.

    Raises OSError if there is no such host, or the port is taken.
    """
    # Of this machine: Gradio's own theme loads its fonts from elsewhere.
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        max_file_size=f"{max_megabytes}mb",
        allowed_paths=[],
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        theme=theme,
        footer_links=[],
    )
    return address
