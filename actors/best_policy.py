"""The policy with the best evaluation so far, kept beside the learner's checkpoints."""

import shutil
from pathlib import Path

from actors.evaluation_report import EvaluationReport
from common.config import Config
from common.errors import ApexManiaError
from common.evaluation_score import Score
from common.game_spec import GameSpec
from common.policy_file import link_folder, read_folder, save_policy
from common.weights import ParamSnapshot

BEST = "best"
_PREFIX = "evaluated-"


class BestPolicy:
    """Keeps ``checkpoints/best``: a link to a policy-only checkpoint with exactly the evaluated weights.

    Args:
        folder: the run's ``checkpoints``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._link = folder / BEST
        self.score: Score | None = self._stored_score()

    def offer(
        self,
        report: EvaluationReport,
        snapshot: ParamSnapshot,
        *,
        spec: GameSpec,
        config: Config,
        env_steps: int,
    ) -> bool:
        """Keeps the weights if no evaluation was better, and returns whether it did; at a tie the newer."""
        if self.score is not None and report.score < self.score:
            return False
        folder = self._folder / f"{_PREFIX}{snapshot.param_version:09d}"
        facts = {
            "param_version": snapshot.param_version,
            "env_steps": env_steps,
            "contract": snapshot.contract,
            "score": list(report.score),
            "evaluation": report.to_dict(),
        }
        save_policy(folder, snapshot.tensors, spec=spec, config=config, facts=facts)
        link_folder(self._link, folder)
        self.score = report.score
        for older in self._folder.glob(f"{_PREFIX}*"):
            if older.name != folder.name:
                shutil.rmtree(older)
        return True

    def _stored_score(self) -> Score | None:
        """Returns the score of an earlier start of the run; None where there is none to read."""
        if not self._link.exists():
            return None
        try:
            state, _ = read_folder(self._link)
            finish_rate, second = (float(value) for value in state["score"])
        except (ApexManiaError, KeyError, TypeError, ValueError):
            return None
        return finish_rate, second
