"""Cleans up after a test run that was killed."""

from __future__ import annotations

import subprocess


class Guard:
    """Runs a shell command once this process is gone, however it ended.

    A small shell waits on a pipe whose other end only this process holds. This works on every
    POSIX system and, unlike Linux' parent-death signal, does not fire when merely the thread that
    started the server ends. The shell has a session of its own, so Ctrl-C does not reach it.
    """

    def __init__(self, command: str) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", f"read -r _; {command}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """There is nothing left to clean up."""
        self._shell.kill()
        self._shell.wait()
        if self._shell.stdin is not None:
            self._shell.stdin.close()
