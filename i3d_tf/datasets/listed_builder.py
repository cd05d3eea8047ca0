"""What all TFDS builders share: a listing -> records, and what is lost on the way."""

import dataclasses

import tensorflow_datasets as tfds

from flow.pool import LIMIT
from i3d_tf.datasets.coverage import (
    COVERAGE,
    add_outcome,
    is_built_from,
    new_coverage,
    read_coverage,
    total,
    write_coverage,
    write_fingerprint,
)
from i3d_tf.datasets.listing import Listing
from i3d_tf.datasets.outcomes import encode_all, encoding_processes
from i3d_tf.datasets.shards import BuildConfig
from i3d_tf.storage import storage_errors


@dataclasses.dataclass
class ListedConfig(tfds.core.BuilderConfig):
    """What a data set is built from.

    Attributes:
      listing: labels and listed videos.
      workers: processes that encode; None takes the processors at hand.
      limit: seconds without progress in a video, after which it cannot be used; 0 for
        any. With one worker, which is this process, there is no limit.
      strict: whether a video that cannot be used is an error.
    """

    # Not in the repr: TFDS logs it, and UCF101 lists 13,320 videos.
    listing: Listing | None = dataclasses.field(default=None, repr=False)
    workers: int | None = None
    limit: float = LIMIT
    strict: bool = False


class ListedBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes records of a `Listing`; what cannot be used is in `coverage`."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {
        "1.0.0": "Frames with their flow.",
        "1.1.0": "Source, times and flow_metadata.",
    }

    # What `build` is told; TFDS calls the methods that need it.
    _beam_options = None

    def _encoder(self):
        """The function that makes the Outcome of a `Listed`, in any process."""
        raise NotImplementedError

    def _gap_finder(self):
        """The function that gives the Outcome of a `Listed` of which a file is missing,
        and None for others."""
        raise NotImplementedError

    @staticmethod
    def _features(outcome):
        """Of an Outcome that has an example: what the record holds."""
        entry = outcome.listed
        return {
            "id": entry.id,
            "label": -1 if entry.label is None else entry.label,
            "source": entry.video,
            **outcome.example,
        }

    def _split_generators(self, dl_manager):
        listing = self.builder_config.listing
        self.coverage = new_coverage(listing)
        if self.builder_config.strict:
            self._refuse_missing()
        splits = dict.fromkeys(entry.split for entry in listing.videos)
        return {split: self._generate_examples(split) for split in splits}

    def _refuse_missing(self):
        """Before hours of encoding; strict alone comes here."""
        entries = self.builder_config.listing.videos
        lost = [gap for gap in map(self._gap_finder(), entries) if gap]
        if lost:
            raise ValueError(
                f"strict: {len(lost)} of {len(entries)} listed videos cannot be used, "
                f"as {lost[0].reason}; without --strict {COVERAGE} has all reasons"
            )

    def _generate_examples(self, split):
        videos = self.builder_config.listing.videos
        entries = [entry for entry in videos if entry.split == split]
        work = entries, self._gap_finder(), self._encoder()
        if self._beam_options is None:
            return self._encode_here(*work)
        from i3d_tf.datasets.beam import EncodeListed

        return EncodeListed(
            *work, self._features, self.data_dir, self.builder_config.limit
        )

    def _encode_here(self, entries, find_gap, encode):
        for outcome in encode_all(find_gap, encode, entries, self._processes):
            self._count(outcome)
            if outcome.reason is None:
                yield outcome.listed.id, self._features(outcome)
        self._refuse_empty(entries[0].split)

    def _count(self, outcome):
        add_outcome(self.coverage, outcome)
        if self.builder_config.strict and outcome.reason is not None:
            raise ValueError(f"strict: a video cannot be used: {outcome.reason}")

    def _refuse_empty(self, split):
        labels = self.coverage[split].values()
        if not any(counts["used"] for counts in labels):
            lost = [lost for counts in labels for lost in counts["lost"]]
            raise ValueError(
                f"no video of split {split!r} can be used; {lost[0]['reason']}"
            )

    def _download_and_prepare(self, dl_manager, download_config=None):
        config = self.builder_config
        if self._beam_options is None:
            with encoding_processes(config.workers, config.limit) as self._processes:
                super()._download_and_prepare(dl_manager, download_config)
        else:
            self._prepare_by_beam(dl_manager, download_config)
        # Here `data_dir` is still the unfinished folder: all get their names at once.
        write_coverage(self.data_dir, self.coverage)
        write_fingerprint(self.data_dir, config.listing)

    def _prepare_by_beam(self, dl_manager, download_config):
        from i3d_tf.datasets.beam import take_outcomes

        try:
            super()._download_and_prepare(dl_manager, download_config)
        finally:
            # If nothing of a split can be used, the writing of its records has failed
            # with an error that does not say why; this does.
            for split in list(self.coverage):
                outcomes = take_outcomes(self.data_dir, split)
                for outcome in outcomes:
                    self._count(outcome)
                if outcomes:
                    self._refuse_empty(split)

    def build(self, overwrite=False, beam_options=None):
        """Writes the records and their coverage, unless they are there.

        Args:
          overwrite: whether to build again what is there.
          beam_options: None, or the `PipelineOptions` of Apache Beam, whose workers
            then encode. They have to see all folders.

        Returns the coverage (see `coverage.new_coverage`), or None if nothing was to
        be done.

        Raises:
          ValueError: no video of a split can be used, or one cannot and the config is
            strict, now or when it was built; or the data set is there and lists other
            videos, and it is not to be overwritten.
        """
        self._restore()
        if self.data_path.exists() and not overwrite:
            self._refuse_other_listing()
            self._refuse_gaps()
            return None
        replaced = self._replaced()
        if self.data_path.exists():
            # TFDS would delete it before it builds, and keep nothing if that fails.
            self.data_path.rename(replaced)
        self._beam_options = beam_options
        try:
            with storage_errors(self.data_dir):
                self.download_and_prepare(
                    download_config=BuildConfig(beam_options=beam_options)
                )
        finally:
            self._restore()
        return self.coverage

    def _replaced(self):
        """Where a data set that is built again is kept until it is."""
        return self.data_path.parent / f".{self.data_path.name}.replaced"

    def _restore(self):
        """Ends a replacement: with the new data set, or if there is none the old."""
        replaced = self._replaced()
        if not replaced.exists():
            return
        if self.data_path.exists():
            replaced.rmtree()
        else:
            replaced.rename(self.data_path)

    def _refuse_gaps(self):
        """Of a data set that is there; strict alone."""
        coverage = read_coverage(self.data_dir)
        if not self.builder_config.strict or coverage is None:
            return
        lost = [
            lost
            for labels in coverage.values()
            for counts in labels.values()
            for lost in counts["lost"]
        ]
        if lost:
            raise ValueError(
                f"strict: {self.data_dir} was built without {len(lost)} listed videos, "
                f"as {lost[0]['reason']}; --overwrite builds it again"
            )

    def _refuse_other_listing(self):
        listing = self.builder_config.listing
        if is_built_from(self.data_dir, listing) is False:
            coverage = read_coverage(self.data_dir)
            built = sum(total(labels)["listed"] for labels in coverage.values())
            raise ValueError(
                f"{self.data_dir}: was built from {built} listed videos, now "
                f"{len(listing.videos)} are listed, or others; --overwrite builds it "
                "again, another --name beside it"
            )
