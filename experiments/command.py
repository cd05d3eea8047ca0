"""What all commands share: flags in, one clear line out."""

import atexit
import contextlib
import gc
import signal
import sys

from absl import app, logging

# At exit Python would look for garbage among the million objects that TensorFlow's
# import made: 1.3 to 2.1 of the 9 seconds of processor time of a short `predict`.
atexit.register(gc.freeze)


def run(main):
    """Runs main() under absl flags; bad input ends in one line and exit code 1.

    So does Ctrl-C, with the exit code by which shells tell it.

    ValueError and OSError are what the library raises for input that it cannot
    use. Anything else is a bug and keeps its traceback.
    """

    def checked(argv):
        logging.set_verbosity(logging.ERROR)
        if argv[1:]:
            fail(f"unexpected argument {argv[1]!r}; options begin with --")
        try:
            main()
        except (ValueError, OSError) as error:
            fail(" ".join(str(error).split()))
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(128 + signal.SIGINT)

    app.run(checked)


@contextlib.contextmanager
def ended_by_sigterm():
    """Within it a run that SIGTERM has ended, and that is saved, ends the process.

    With one line and the exit code by which shells tell that signal.
    """
    from i3d_tf.training import Preempted

    try:
        yield
    except Preempted as error:
        print(f"{error}; the same command goes on", flush=True)
        sys.exit(128 + signal.SIGTERM)


def fail(message):
    """Prints `error: message` and ends the process with exit code 1."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


def beam_options(options, workers):
    """The `PipelineOptions` of Apache Beam; `options` are without their dashes.

    Raises ValueError if it is not installed or has no such option; it would only warn.
    So it does for a number of `workers`, which no runner takes notice of.
    """
    if workers:
        raise ValueError("--workers is for this machine; Beam's runners have their own")
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ModuleNotFoundError as error:
        raise ValueError(
            f"--beam_pipeline_options needs the extra [beam]: {error}"
        ) from error
    for option in options:
        if option.startswith("-"):
            raise ValueError(
                f"--beam_pipeline_options {option}: give options without their dashes"
            )
    found = PipelineOptions([f"--{option}" for option in options])
    unknown = found.get_all_options(retain_unknown_options=True).keys()
    unknown -= found.get_all_options().keys()
    if unknown:
        raise ValueError(
            "--beam_pipeline_options: Apache Beam has no option "
            + ", ".join(sorted(unknown))
        )
    return found
