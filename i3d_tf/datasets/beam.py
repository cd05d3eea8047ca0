"""Records by the workers of an Apache Beam runner, the same as by local processes.

What became of each video goes two ways: an example to TFDS, which writes the records,
and all but the example to a file, from which the coverage is counted when the pipeline
has ended. Apache Beam is an extra: `pip install 'i3d-tf[beam]'`.
"""

import contextlib
import json

import apache_beam as beam

from flow.files import as_path, exists, local_copy, write_json
from flow.pool import Workers
from i3d_tf.datasets.listing import Listed
from i3d_tf.datasets.outcomes import Outcome, encode_all


class EncodeListed(beam.PTransform):
    """A pipeline -> `(id, example)` of all videos of a split that can be used."""

    def __init__(self, entries, find_gap, encode, features_of, folder, limit):
        """Puts the entries into a file, as Dataflow takes no pipeline above 10 MB.

        Args:
          entries: the `Listed` of one split.
          find_gap, encode: as those of `outcomes.encode_all`.
          features_of: function of an Outcome that has an example -> its features.
          folder: where the split's two files are to be; all workers have to see it.
          limit: of `ListedConfig`.
        """
        super().__init__()
        self._split = entries[0].split
        self._encode = _Encode(find_gap, encode, limit)
        self._features_of, self._folder = features_of, str(folder)
        write_json(_listed_path(folder, self._split), [list(e) for e in entries])

    def expand(self, pipeline):
        def named(text):
            return f"{text} {self._split}"

        outcomes = (
            pipeline
            | named("List") >> beam.Create([self._folder])
            | named("Read") >> beam.FlatMap(_read_listed, self._split)
            # Else the worker that reads the list would encode them all.
            | named("Spread") >> beam.Reshuffle()
            | named("Encode") >> beam.ParDo(self._encode)
        )
        told = outcomes | named("Tell") >> beam.Map(_without_example)
        _ = (
            pipeline
            | named("Outcomes") >> beam.Create([self._folder])
            | named("Write")
            >> beam.Map(_write_outcomes, self._split, beam.pvalue.AsIter(told))
        )
        return (
            outcomes
            | named("Used") >> beam.Filter(_is_used)
            | named("Features") >> beam.Map(_with_id, self._features_of)
        )


class _Encode(beam.DoFn):
    def __init__(self, find_gap, encode, limit):
        self._find_gap, self._encode, self._limit = find_gap, encode, limit

    def setup(self):
        # A process of its own, as a bad file may crash a decoder: see `flow.beam`.
        self._stack = contextlib.ExitStack()
        self._process = self._stack.enter_context(Workers(1, self._limit))

    def process(self, entry):
        yield from encode_all(self._find_gap, self._encode, [entry], self._process)

    def teardown(self):
        self._stack.close()


def take_outcomes(folder, split):
    """The Outcomes of a split, without their examples; removes the split's files.

    There are none if the pipeline failed before.
    """
    _listed_path(folder, split).unlink(missing_ok=True)
    path = _outcomes_path(folder, split)
    if not exists(path):
        return []
    with local_copy(path) as local:
        told = json.loads(local.read_text("utf-8"))
    path.unlink()
    return [Outcome(Listed(*listed), *others) for listed, *others in told]


def _listed_path(folder, split):
    return as_path(folder) / f"listed-{split}.json"


def _outcomes_path(folder, split):
    return as_path(folder) / f"outcomes-{split}.json"


def _read_listed(folder, split):
    with local_copy(_listed_path(folder, split)) as local:
        return [Listed(*fields) for fields in json.loads(local.read_text("utf-8"))]


def _is_used(outcome):
    return outcome.reason is None


def _without_example(outcome):
    listed, *others = outcome._replace(example=None)
    return list(listed), *others


def _with_id(outcome, features_of):
    return outcome.listed.id, features_of(outcome)


def _write_outcomes(folder, split, told):
    write_json(_outcomes_path(folder, split), list(told))
