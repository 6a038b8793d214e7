"""The W&B side process of a run: started, and ended within bounded time."""

import os
import subprocess
import sys
from types import TracebackType
from typing import Self

from common.config import WandbConfig
from deploy import child_process
from deploy.run_folder import RunFolder

_PATIENCE_S = 20.0


class WandbProcess:
    """Sends the run's rows to Weights & Biases while its block runs; what happens to it is its own affair."""

    def __init__(self, folder: RunFolder, config: WandbConfig) -> None:
        self._folder = folder
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def mode(self) -> str:
        """The mode in use: online falls back to offline without a key."""
        if self._config.mode == "online" and not os.environ.get("WANDB_API_KEY"):
            return "offline"
        return self._config.mode

    @property
    def pid(self) -> int | None:
        """Process id, or None where it is disabled."""
        return None if self._process is None else self._process.pid

    def __enter__(self) -> Self:
        """Starts the process unless it is disabled."""
        if self.mode != "disabled":
            words = ("deploy.wandb_sink", str(self._folder.path), self.mode, self._config.project)
            self._process = child_process.start(
                [sys.executable, "-m", *words],
                log=self._folder.logs / "wandb.log",
                folder=self._folder.path,
                environment={**os.environ, "WANDB_MODE": self.mode, "WANDB_SILENT": "true"},
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Lets it send what is left; at once over where the run is interrupted twice."""
        if self._process is not None:
            hurry = kind is not None and issubclass(kind, KeyboardInterrupt)
            child_process.stop(self._process, patience_s=1.0 if hurry else _PATIENCE_S)
