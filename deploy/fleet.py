"""The Ray actors of one run: started, restarted by Ray when they die, asked for their end."""

from dataclasses import dataclass
from typing import Any

import ray
import structlog
from ray._private import state as ray_state
from ray.exceptions import RayError, RayTaskError

from common.errors import ApexManiaError

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Member:
    handle: Any  # Ray ends an actor that nobody holds
    ended: "ray.ObjectRef[Any]"


class Fleet:
    """Ray actors whose ``run`` lasts as long as the run does.

    Ray starts a killed process anew and calls ``run`` again; an error that ``run`` raises is final
    and is raised here.
    """

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}

    @property
    def names(self) -> list[str]:
        """Names of all members."""
        return list(self._members)

    def add(self, name: str, shell: Any, *arguments: Any, num_gpus: int = 0, **named: Any) -> None:  # noqa: ANN401 - Ray's handles are built at run time
        """Starts a member.

        Args:
            name: unique in the run.
            shell: class with a ``run`` method, as ``ray.remote`` returned it.
            arguments: of its constructor.
            num_gpus: GPUs it needs.
            named: named arguments of its constructor.
        """
        handle = shell.options(
            num_cpus=1,
            num_gpus=num_gpus,
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=2,
        ).remote(*arguments, **named)
        self._members[name] = _Member(handle, handle.run.remote())
        _log.info("member_started", name=name)

    def restarts(self) -> dict[str, int]:
        """Returns how often Ray started each member anew."""
        counts = {}
        for name, member in self._members.items():
            facts = ray_state.actors(member.handle._actor_id.hex())  # noqa: SLF001 - Ray names it nowhere else
            counts[name] = int(facts.get("NumRestarts", 0))
        return counts

    def ended(self) -> list[str]:
        """Returns the names of the members whose run is over.

        Raises:
            ApexManiaError: a member failed.
        """
        if not self._members:
            return []
        by_reference = {member.ended: name for name, member in self._members.items()}
        done, _ = ray.wait(list(by_reference), num_returns=len(by_reference), timeout=0)
        for reference in done:
            _raise_failure(by_reference[reference], reference)
        return [by_reference[reference] for reference in done]

    def result(self, name: str) -> Any:  # noqa: ANN401 - each member has a result of its own
        """Returns what the run of a member that ended returned, None where it goes on."""
        return ray.get(self._members[name].ended) if name in self.ended() else None


def _raise_failure(name: str, reference: "ray.ObjectRef[Any]") -> None:
    try:
        ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        _log.error("member_failed", name=name, error=str(error))
        if isinstance(cause, ApexManiaError):
            raise cause from error
        raise ApexManiaError(
            f"The {name} failed: {type(cause).__name__}: {cause}",
            "this is a bug in apexmania, not a mistake of yours",
            "read the traceback in the run's logs/launcher.log and report it",
        ) from error
    except RayError as error:
        _log.error("member_lost", name=name, error=str(error))
        raise ApexManiaError(
            f"The {name} is lost: {' '.join(str(error).split())[:300]}",
            "Ray could not start it again",
            "read the run's logs/launcher.log and logs/ray, then resume the run",
        ) from error
