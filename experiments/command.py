"""Shared by all commands: flags in, one clear line out."""

import atexit
import contextlib
import gc
import importlib.metadata
import os
import re
import signal
import sys
import traceback

from absl import app, flags, logging

from flow.unexpected import describe, in_one_line

# At exit Python would look for garbage among the million objects that TensorFlow's
# import made: 1.3 to 2.1 of the 9 seconds of processor time of a short `predict`.
atexit.register(gc.freeze)


# Help of the flag --model.
MODEL = (
    "SavedModel of export, or the name of a published model, such as kinetics400 (both "
    "streams) or kinetics400-rgb, which is downloaded on first use."
)
_DEBUG = flags.DEFINE_bool("debug", False, "Print the full traceback of an error.")


def run(main, *, takes_words=False):
    """Runs main() under absl flags; an error ends in one line and exit code 1.

    With `takes_words` it is main(words), of the arguments that are no flags.

    ValueError and OSError are raised for input that cannot be used: their text is the
    line. For any other error, which is a bug or an unforeseen fault of a file, the line
    names the activity and the file with the traceback. `--debug` prints the traceback
    of either kind. Ctrl-C ends with exit code 130, and a reader of the output that goes
    away, as `head` does, with 141.
    """

    def checked(argv):
        logging.set_verbosity(logging.ERROR)
        if argv[1:] and not takes_words:
            fail(f"unexpected argument {argv[1]!r}; options begin with --")
        try:
            main(argv[1:]) if takes_words else main()
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(128 + signal.SIGINT)
        except BrokenPipeError:
            # Python would try to write the rest at exit, and print a traceback.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(128 + signal.SIGPIPE)
        except Exception as error:
            fail(line_of(error))

    # Flags may stand after words.
    flags.FLAGS.set_gnu_getopt(takes_words)
    _prepare_help(sys.modules[main.__module__])
    app.run(checked)


def line_of(error):
    """Returns the line for an error; prints its traceback under --debug."""
    if _DEBUG.value:
        traceback.print_exception(error)
    if isinstance(error, ValueError | OSError):
        return " ".join(str(error).split()) or describe(error)
    return describe(error) if _DEBUG.value else in_one_line(error)


def _prepare_help(module):
    """Makes --help show the text and flags of a command's module, and no others.

    absl shows those of `__main__`, which in a console script is a stub.
    """
    key_flags = flags.FLAGS.get_key_flags_for_module(module.__name__)
    for flag in [*key_flags, flags.FLAGS["debug"]]:
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    if module.__name__ == "__main__":
        return
    text = module.__doc__
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for script in importlib.metadata.distribution("i3d-tf").entry_points:
            text = re.sub(rf"python -m {script.module}\b", script.name, text)
    sys.modules["__main__"].__doc__ = text


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


def in_columns(rows):
    """Returns a line for each row of texts, with its columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


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
