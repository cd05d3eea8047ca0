"""A listed video and its flow video -> an Outcome."""

import json

from flow.extract import flow_path
from flow.files import exists, local_copy
from flow.report import REPORT
from i3d_tf.datasets.frames import encode_pair
from i3d_tf.datasets.outcomes import Outcome, outcome_of


def encode_listed(videos, flow, maybe_cut, entry):
    """The Outcome of a `Listed` of which both files are there.

    Args:
      videos, flow: folders of the videos and of the flow videos.
      maybe_cut: see `pairing.part_of`.
      entry: the `Listed`.
    """

    def encode():
        return encode_pair(
            videos / entry.video,
            flow / flow_path(entry.video),
            start=entry.start,
            end=entry.end,
            maybe_cut=maybe_cut,
        )

    outcome = outcome_of(entry, encode)
    if outcome.example is None:
        return outcome
    made = json.loads(outcome.example["flow_metadata"])
    return outcome._replace(damage=made.get("damage"))


def find_gap(videos, flow, failures, entry):
    """The Outcome of a `Listed` of which a file is missing; None if both are there.

    Args:
      videos, flow: folders of the videos and of the flow videos.
      failures: of `flow_failures`.
      entry: the `Listed`.
    """
    source, target = videos / entry.video, flow / flow_path(entry.video)
    if not exists(source):
        return Outcome(entry, False, None, f"{source}: is missing")
    if not exists(target):
        why = failures.get(entry.video)
        said = f"; extraction said: {why}" if why else ""
        return Outcome(entry, True, None, f"{target}: is missing{said}")
    return None


def flow_failures(flow):
    """{video: reason} of those that the flow extraction could not use."""
    try:
        with local_copy(flow / REPORT) as local:
            report = json.loads(local.read_text("utf-8"))
        return {
            entry["video"]: entry["reason"]
            for entry in report
            if entry["state"] == "failed"
        }
    except (OSError, ValueError, TypeError, KeyError):
        return {}  # none, or somebody else's file
