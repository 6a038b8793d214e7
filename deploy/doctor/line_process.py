"""A small program of ours that is asked one line at a time and must answer each in time."""

import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Self

_KEPT_LINES = 40
_PATIENCE_S = 3.0


class NoAnswerError(Exception):
    """The program ended or kept silent; the text says which, with its last words."""


class LineProcess:
    """A module run by this interpreter, with lines in and out; it ends when its stdin does.

    Args:
        module: dotted name, run with ``-m``.
        arguments: of its command line.
        environment: the variables that it sees.
    """

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=dict(environment),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdin = self._process.stdin
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._last_words: deque[str] = deque(maxlen=_KEPT_LINES)
        self._threads = [
            threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._overhear, args=(self._process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the program."""
        self.close()

    def answer(self, timeout_s: float) -> str:
        """Returns the next line that it prints.

        Args:
            timeout_s: how long to wait for it (s).

        Raises:
            NoAnswerError: it ended, or said nothing for so long.
        """
        try:
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise NoAnswerError(f"no answer within {timeout_s:.0f} s") from None
        if line is None:
            self._threads[1].join(_PATIENCE_S)
            words = [text for text in self._last_words if text.strip()]
            raise NoAnswerError(words[-1].strip() if words else "it ended without a word")
        return line

    def ask(self, request: str, timeout_s: float) -> str:
        """Sends a line and returns the one that answers it.

        Raises:
            NoAnswerError: it ended, or said nothing for so long.
        """
        try:
            self._stdin.write(request + "\n")
            self._stdin.flush()
        except OSError:
            # It is gone; the answer below says why.
            return self.answer(_PATIENCE_S)
        return self.answer(timeout_s)

    def close(self) -> None:
        """Ends the program, by force where it does not go by itself."""
        try:
            self._stdin.close()
        except OSError:
            # What was not sent is lost with the program.
            self._process.kill()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(_PATIENCE_S)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdout.close()
        self._process.stderr.close()

    def _listen(self, stream: IO[str]) -> None:
        for line in stream:
            self._answers.put(line.rstrip("\n"))
        self._answers.put(None)

    def _overhear(self, stream: IO[str]) -> None:
        self._last_words.extend(stream)
