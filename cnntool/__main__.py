"""`python -m cnntool`."""

import sys

from cnntool.cli.main import main

sys.exit(main())
