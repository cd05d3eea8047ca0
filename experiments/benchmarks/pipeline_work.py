"""What the pipeline benchmark measures; each work runs in a process of its own."""

import concurrent.futures
import pathlib
import time
from importlib import metadata

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from experiments.benchmarks import machine, pipeline_data, real_frames, video_clips
from flow.pool import default_workers
from i3d_tf import FLOW, RGB, clips, pipeline
from i3d_tf.config import Data

STREAMS = (RGB, FLOW)
DATA = Data("", num_frames=64, size=video_clips.SIZE)
BATCH_SIZE = 6
CLIP = f"clips of {DATA.num_frames} frames, {DATA.size} px, batches of {BATCH_SIZE}"
UNIQUE_FRAMES = 128  # of each video: their flow is computed
IN_MEMORY = 24  # clips that the decoder alone goes through
FROM_VIDEOS = 6  # clips a round of each video
HELD_EVERY = 60  # seconds


def versions():
    names = ["tensorflow", "tensorflow-datasets", "av", "opencv-contrib-python"]
    if "decord" in video_clips.readers():
        names.append("decord")
    return ", ".join(f"{name} {metadata.version(name)}" for name in names)


def make(folder, videos, count, length, records, shards):
    """Writes videos and records; returns where they are, for the other works."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "frames.npz"
    if not kept.is_file():
        pairs = real_frames.read_pairs(videos, videos=count, frames=UNIQUE_FRAMES)
        np.savez(kept, *(array for pair in pairs for array in pair))
    arrays = list(np.load(kept).values())
    pairs = list(zip(arrays[::2], arrays[1::2], strict=True))
    sources = pipeline_data.write_videos(pairs, folder / f"videos-{length}", length)
    builder = pipeline_data.write_records(
        *(sources, folder / f"records-{length}-{shards}"), count=records, shards=shards
    )
    return {
        "records": str(builder.data_dir),
        "sources": sources,
        "length": length,
        "shards": shards,
    }


def rates(records, sources, length, shards, rounds):
    """Clips a second, processor time, bytes read, of the pipeline and what it is
    compared with; and the memory of two epochs."""
    builder = tfds.builder_from_directory(records)
    for epoch in range(2):
        _pipeline(builder, epoch, as_codes=True)()
    peak = machine.peak_gb()
    works = {
        "decoder alone": _decoder_alone(builder),
        "reading alone": _reading_alone(builder),
        "pipeline, as training takes it": _pipeline(builder, 0, as_codes=True),
        "pipeline, clips as floats": _pipeline(builder, 0),
    }
    sources = [video_clips.Source(*source) for source in sources]
    for name, read in video_clips.readers().items():
        works[f"{name}, video and flow video"] = _from_videos(read, sources, length)
    runs = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            runs[name].append(_measure(work))
    rows = [{"name": name, **_best(measured)} for name, measured in runs.items()]
    for row in rows:
        row["share"] = row["clips_s"] / rows[0]["clips_s"]
    return {"length": length, "shards": shards, "rows": rows, "peak_gb": peak}


def memory(records, sources, length, shards, minutes, pause):
    """What the process holds while it goes through epochs, `pause` s a batch."""
    builder = tfds.builder_from_directory(records)
    began, held, count, epoch = time.monotonic(), [], 0, 0
    while (minutes_so_far := (time.monotonic() - began) / 60) < minutes:
        for _ in _train_batches(builder, epoch, as_codes=True):
            time.sleep(pause)
            count += BATCH_SIZE
            minutes_so_far = (time.monotonic() - began) / 60
            if minutes_so_far * 60 >= HELD_EVERY * len(held):
                held.append((minutes_so_far, epoch, count, machine.held_gb()))
        epoch += 1
    return {"length": length, "shards": shards, "held": held}


WORKS = {"make": make, "rates": rates, "memory": memory}


def _measure(work):
    """(clips/s, ms of processor time a clip, bytes read a clip) of one run."""
    read, processor, began = _bytes_read(), time.process_time(), time.perf_counter()
    count = work()
    seconds = time.perf_counter() - began
    processor = time.process_time() - processor
    return count / seconds, processor / count * 1e3, (_bytes_read() - read) / count


def _best(measured):
    """Of several runs: noise only adds."""
    rates, processor, read = zip(*measured, strict=True)
    return {
        "clips_s": round(max(rates), 2),
        "cpu_ms": round(min(processor), 2),
        "mb_read": round(min(read) / 1e6, 3),
    }


def _train_batches(builder, epoch, **options):
    return pipeline.train_batches(
        builder, DATA, STREAMS, batch_size=BATCH_SIZE, seed=0, epoch=epoch, **options
    )


def _pipeline(builder, epoch, **options):
    """A work: one epoch, in which all records are read; tracing is not timed."""
    batches = _train_batches(builder, epoch, **options)

    def work():
        return BATCH_SIZE * sum(1 for _ in batches)

    return work


def _sample(example):
    """As the pipeline samples a record: its View, and the frames that this shows."""
    shape = tf.shape(example["rgb"])[0], example["height"], example["width"]
    view = clips.random_view(
        *(0, 0, example["id"], shape),
        num_frames=DATA.num_frames,
        size=DATA.size,
        mirror=DATA.mirror,
    )
    frames = {
        stream.name: clips.sample(example[stream.name], view.start, DATA.num_frames)
        for stream in STREAMS
    }
    return {**frames, "view": view, "height": example["height"]}


def _reading_alone(builder):
    """A work: all records read, sampled and mixed, nothing decoded."""
    examples = pipeline.read_examples(
        builder, "train", STREAMS, shuffle=(0, 0), prepare=_sample
    )

    def work():
        return sum(1 for _ in examples)

    return work


def _decoder_alone(builder):
    """A work: `clips.decode` of clips whose encoded frames lie in memory."""

    def decode(example):
        return [
            clips.decode(
                *(example[stream.name], stream, example["view"], example["height"]),
                DATA.size,
            )
            for stream in STREAMS
        ]

    examples = pipeline.read_examples(builder, "train", STREAMS, prepare=_sample)
    # As one tensor for each field, from which slices are taken without reading.
    held = next(iter(examples.take(IN_MEMORY).batch(IN_MEMORY)))
    options = tf.data.Options()
    options.autotune.enabled = False
    decoded = (
        tf.data.Dataset.from_tensor_slices(held)
        .repeat(3)
        .map(decode, default_workers())
        .with_options(options)
    )

    def work():
        return sum(1 for _ in decoded)

    return work


def _from_videos(read, sources, length):
    """A work: clips from random places, one on each core."""
    rng = np.random.default_rng(0)
    # Of a video one pair fewer than frames; a shorter one is looped.
    count = min(DATA.num_frames, length - 1)
    places = [
        (source, int(start), count)
        for source in sources
        for start in rng.integers(0, length - count, FROM_VIDEOS)
    ]
    looped = np.arange(DATA.num_frames) % count

    def work():
        with concurrent.futures.ThreadPoolExecutor(default_workers()) as threads:
            for codes in threads.map(lambda place: read(*place), places):
                for stream, its_codes in zip(STREAMS, codes, strict=True):
                    shape = (DATA.num_frames, DATA.size, DATA.size, stream.channels)
                    if its_codes[looped].shape != shape:
                        raise ValueError(f"read {its_codes.shape}, not {shape}")
        return len(places)

    return work


def _bytes_read():
    """By all reads of this process, those from the page cache too; Linux tells."""
    path = pathlib.Path("/proc/self/io")
    if not path.is_file():
        return 0
    fields = dict(line.split(": ") for line in path.read_text().splitlines())
    return int(fields["rchar"])
