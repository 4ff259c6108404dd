"""The shell's fixtures, for tests of batches through the shell."""

from tests.cli.conftest import cnntool, here

__all__ = ["cnntool", "here"]
