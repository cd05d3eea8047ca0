"""Flow videos for a folder of videos, by the workers of an Apache Beam runner.

The same function per video as in `flow.extract_folder`, and the same files in the end.
Apache Beam is an extra: `pip install 'i3d-tf[beam]'`.
"""

import contextlib
import json
import logging

import apache_beam as beam

from flow.extract import extract_video, failure, new_entry
from flow.extract_folder import find_sources, prepare
from flow.files import as_path, local_copy
from flow.pool import LIMIT, ProcessDied, Workers
from flow.report import REPORT, write_report
from flow.settings import Settings


def extract_by_beam(
    videos, output, settings=None, *, options, resume=True, limit=LIMIT
):
    """Writes the flow videos and the report that `extract_folder` writes; returns that.

    The workers have to see both folders: they are remote (`flow.files`), or in a file
    system that all machines share. `output/report.json` is written at the end.

    A runner may try a part of the work again; what the first try has written is then
    "skipped" in the report if `resume` is set.

    Args:
      options: the `PipelineOptions`: the runner and all that it is told.

    Raises:
      ValueError: as `extract_folder`.
      Exception: what the runner raises if the pipeline fails, as when a flow video
        cannot be written.
    """
    settings = settings or Settings()
    # What is wrong shows before it runs.
    prepare(as_path(videos), as_path(output), settings, resume)
    with beam.Pipeline(options=options) as pipeline:
        add_extraction(pipeline, videos, output, settings, resume, limit)
    with local_copy(as_path(output) / REPORT) as local:
        return json.loads(local.read_text("utf-8"))


def add_extraction(pipeline, videos, output, settings, resume=True, limit=LIMIT):
    """Adds all steps to a pipeline, from the list of the videos to the report."""
    videos, output = str(videos), str(output)
    entries = (
        pipeline
        # Listed by a worker: Dataflow takes no pipeline above 10 MB, and the paths of
        # Kinetics' videos are more.
        | "Videos" >> beam.Create([videos])
        | "List" >> beam.FlatMap(_list, output)
        # Else the worker that lists them would do them all.
        | "Spread" >> beam.Reshuffle()
        | "Extract" >> ExtractFlow(videos, output, settings, resume, limit)
    )
    return (
        pipeline
        | "Report" >> beam.Create([output])
        | "Write" >> beam.Map(_write_report, beam.pvalue.AsIter(entries))
    )


class ExtractFlow(beam.PTransform):
    """Relative paths of videos -> entries of the report, dicts as in `extract_folder`.

    A video that cannot be used is an entry too. OSErrors are raised where flow cannot
    be written.
    """

    def __init__(self, videos, output, settings, resume=True, limit=LIMIT):
        """Takes what `extract_video` does; the folders may be strings.

        `limit` is as of `flow.pool.Workers`.
        """
        super().__init__()
        self._extract = _Extract(str(videos), str(output), settings, resume, limit)

    def expand(self, paths):
        return paths | beam.ParDo(self._extract)


class _Extract(beam.DoFn):
    def __init__(self, videos, output, settings, resume, limit):
        self._videos, self._output = videos, output
        self._settings, self._resume, self._limit = settings, resume, limit

    def setup(self):
        # A process of its own for the videos, one at a time. A bad file may crash a
        # decoder: were that the runner's process, it would try all videos of the
        # bundle again, and end the whole pipeline when it crashes again.
        self._stack = contextlib.ExitStack()
        self._process = self._stack.enter_context(Workers(1, self._limit))

    def process(self, video):
        videos, output = as_path(self._videos), as_path(self._output)
        settings = self._settings
        try:
            entry = self._process.call(
                extract_video, videos, output, settings, self._resume, video
            )
        except ProcessDied as error:
            reason = failure(videos / video, error)
            entry = {**new_entry(video, settings), "reason": reason}
        except OSError as error:
            # Beam shows the message of an error only if that is its one argument.
            raise OSError(str(error)) from error
        beam.metrics.Metrics.counter("flow", entry["state"]).inc()
        if entry["state"] == "failed":
            # The report comes at the end, perhaps in days.
            logging.warning("failed: %s", entry["reason"])
        yield entry

    def teardown(self):
        self._stack.close()


def _list(videos, output):
    return find_sources(as_path(videos), as_path(output))


def _write_report(output, entries):
    write_report(as_path(output), entries)
