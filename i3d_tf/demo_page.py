"""A web page that shows what an exported model says of an uploaded video."""

import pathlib

import gradio as gr

from i3d_tf.summary import TOP, picture

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
    folder, made_for = pathlib.Path(folder), predictor.made_for
    streams = [None, *made_for["streams"]] if len(made_for["streams"]) > 1 else [None]
    with_flow = "flow" in made_for["streams"]

    def show(video):
        if video is None:
            return [None] * (2 + len(streams))
        try:
            stride = made_for["num_frames"]
            summary = picture(predictor.windows(video, stride, max_seconds), folder)
        except (ValueError, OSError) as error:
            # The path is one of this server's own.
            text = " ".join(str(error).split()).replace(f"{video}: ", "")
            # Until it is closed: the boxes below only say that there was an error.
            raise gr.Error(
                f"The video: {text}",
                title="This video cannot be used",
                duration=None,
                print_exception=False,
            ) from error
        return [
            str(folder / "annotated.mp4"),
            str(folder / "over_time.png"),
            *(dict(summary.best(TOP, stream)) for stream in streams),
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
        # One after the other: a model uses all cores, and they share the folder.
        shown = [annotated, over_time, *labels]
        video.change(show, video, shown, concurrency_limit=1)
    return page


def launch(page, host, port, max_megabytes):
    """Serves a page in threads of their own; returns its address.

    Raises OSError if there is no such host, or the port is taken.
    """
    # Of this machine: Gradio's own theme loads its fonts from elsewhere.
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    try:
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
    except OSError as error:
        # Gradio speaks of a range of ports, whatever it was.
        raise OSError(
            f"cannot listen on port {port} of host {host}; is it taken, or not this "
            "machine's?"
        ) from error
    return address
