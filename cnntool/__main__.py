"""The program: `cnntool`, and `python -m cnntool`."""

import os
import signal
import sys


def program() -> None:
    """Runs the command line and ends the process; Ctrl-C at any moment, also during imports, ends it with a message."""
    try:
        from cnntool.cli.main import main

        code = main()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
        os.write(2, b"cnntool: interrupted\n")
    if code >= 128:
        os._exit(code)  # whoever pressed Ctrl-C twice does not wait for threads that are still at work
    sys.exit(code)


if __name__ == "__main__":
    program()
