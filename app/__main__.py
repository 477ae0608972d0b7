"""`python -m app`: the service, with settings from the environment and the command line."""

import signal
import sys


def main() -> None:
    """Run the command line.

    Raises:
        SystemExit: when the command has ended.
    """
    # The imports take a second. Signals must not end it with a traceback, and the first process of a container
    # ignores every signal that it does not handle. A service that is asked to end has ended well; a file is not scored.
    is_service = "score" not in sys.argv
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda number, _: sys.exit(0 if is_service else 128 + number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from app.command import make_command

    make_command()(prog_name="python -m app")


if __name__ == "__main__":
    main()
