"""The command line: finds the verb, loads its module alone, and turns what goes wrong into one line and an exit code.

Exit codes: 0 done · 1 it could not be done · 2 it was asked for in the wrong way · 130 stopped with Ctrl-C.
Data goes to stdout, talk to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from deepmusic import __version__
from deepmusic.errors import DeepmusicError

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

Subparsers = argparse._SubParsersAction  # pyright: ignore[reportPrivateUsage]  # argparse has no public name for it
"""What `register` of a verb's module is given."""


class Verb(Protocol):
    """A module of this package that is a verb."""

    def register(self, subparsers: Subparsers[argparse.ArgumentParser]) -> None:
        """Add the verb's parser."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it; the return value is the exit code."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbEntry:
    """A verb before its module is loaded."""

    module: str
    """Module that has `register` and `run`."""

    summary: str
    """A line for the list of verbs."""


VERBS = {
    "serve": VerbEntry(module="deepmusic.cli.serve", summary="serve live streams over gRPC"),
    "remix": VerbEntry(module="deepmusic.cli.remix", summary="play one recording in the sound of another, to a file"),
    "stream": VerbEntry(module="deepmusic.cli.stream", summary="send a file through a server"),
    "live": VerbEntry(module="deepmusic.cli.live", summary="play through the sound card or JACK"),
    "replay": VerbEntry(module="deepmusic.cli.replay", summary="render a recorded stream again, sample for sample"),
    "styles": VerbEntry(module="deepmusic.cli.styles", summary="add, list, show and remove styles"),
    "models": VerbEntry(module="deepmusic.cli.models", summary="list, show and verify bundles"),
    "bench": VerbEntry(module="deepmusic.cli.bench", summary="measure what this machine can do"),
    "check": VerbEntry(module="deepmusic.cli.check", summary="find out what this rig can do live"),
    "doctor": VerbEntry(module="deepmusic.cli.doctor", summary="check the installation and say what to mend"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments without the program's name; those of the process by default.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    wanted = next((argument for argument in arguments if not argument.startswith("-")), None)
    logging.basicConfig(level=logging.WARNING, format="deepmusic: %(message)s")
    try:
        parser, verb = _parser(wanted)
        args = parser.parse_args(arguments)
        if verb is None:
            parser.print_help(sys.stderr)
            return EXIT_USAGE
        return verb.run(args)
    except DeepmusicError as error:
        return _fail(wanted, error.message)
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except KeyboardInterrupt:
        _fail(wanted, "stopped")
        return EXIT_INTERRUPTED
    except MemoryError:
        return _fail(wanted, "there is not enough memory; close other programs")
    except Exception as error:
        if os.environ.get("DEEPMUSIC_TRACEBACK"):
            raise
        name = type(error).__name__
        return _fail(wanted, f"a fault of deepmusic ({name}); set DEEPMUSIC_TRACEBACK=1 to see where, and report it")


def _parser(wanted: str | None) -> tuple[argparse.ArgumentParser, Verb | None]:
    parser = argparse.ArgumentParser(
        prog="deepmusic",
        description="Play any audio in the sound of any other recording, live.",
        epilog="'deepmusic VERB --help' tells more about a verb.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"deepmusic {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    chosen: Verb | None = None
    for name, entry in VERBS.items():
        if name == wanted:
            chosen = cast("Verb", importlib.import_module(entry.module))
            chosen.register(subparsers)
        else:
            subparsers.add_parser(name, help=entry.summary, add_help=False)
    return parser, chosen


def _fail(verb: str | None, message: str) -> int:
    program = f"deepmusic {verb}" if verb in VERBS else "deepmusic"
    with contextlib.suppress(OSError):
        print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
    return EXIT_FAILURE


if __name__ == "__main__":
    sys.exit(main())
