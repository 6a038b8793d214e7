"""The Ray actors of one run: started, restarted by Ray when they die, asked for their end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
import structlog
from ray._private import state as ray_state
from ray.exceptions import RayError, RayTaskError

from common.errors import ApexManiaError

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Needs:
    """What a member takes of the machine that Ray places it on.

    Attributes:
        cpus: logical CPUs.
        gpus: GPUs.
        resources: Ray's own resources, by name.
    """

    cpus: int = 0
    gpus: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)


ONE_CPU = Needs(cpus=1)


@dataclass(frozen=True, slots=True)
class _Member:
    handle: Any  # Ray ends an actor that nobody holds
    ended: "ray.ObjectRef[Any]"
    expendable: bool


class Fleet:
    """Ray actors whose ``run`` lasts as long as the run does.

    Ray starts a killed process anew and calls ``run`` again; an error that ``run`` raises is final
    and is raised here.
    """

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}
        self._failures: dict[str, ApexManiaError] = {}

    @property
    def names(self) -> list[str]:
        """Names of all members."""
        return list(self._members)

    def add(
        self,
        name: str,
        shell: Any,  # noqa: ANN401 - Ray's handles are built at run time
        *arguments: Any,  # noqa: ANN401 - same
        needs: Needs = ONE_CPU,
        expendable: bool = False,
        **named: Any,  # noqa: ANN401 - same
    ) -> None:
        """Starts a member.

        Args:
            name: unique in the run.
            shell: class with a ``run`` method, as ``ray.remote`` returned it.
            arguments: of its constructor.
            needs: what it takes of the machine that it shall be on.
            expendable: whether the run goes on where it fails.
            named: named arguments of its constructor.
        """
        handle = shell.options(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            resources=dict(needs.resources),
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=2,
        ).remote(*arguments, **named)
        self._members[name] = _Member(handle, handle.run.remote(), expendable)
        _log.info("member_started", name=name)

    def give_up(self, names: Iterable[str]) -> None:
        """Forgets members whose machine is gone, so that nobody waits for them."""
        for name in set(names) & set(self._members):
            ray.kill(self._members.pop(name).handle)
            _log.warning("member_given_up", name=name)

    def take_failures(self) -> dict[str, ApexManiaError]:
        """Returns why expendable members failed since the last call, by name."""
        taken, self._failures = self._failures, {}
        return taken

    def restarts(self) -> dict[str, int]:
        """Returns how often Ray started each member anew that the run cannot do without."""
        counts = {}
        for name, member in self._members.items():
            if member.expendable:
                continue
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
            self._see_end(by_reference[reference], reference)
        return [name for name in map(by_reference.__getitem__, done) if name in self._members]

    def still_running(self, names: Iterable[str]) -> list[str]:
        """Returns those of some members that are here and whose run is not over, in order.

        Raises:
            ApexManiaError: a member failed that the run cannot do without.
        """
        ended = self.ended()  # forgets who failed and was expendable
        return sorted(set(names) & set(self._members) - set(ended))

    def result(self, name: str) -> Any:  # noqa: ANN401 - each member has a result of its own
        """Returns what the run of a member that ended returned, None where it goes on."""
        return ray.get(self._members[name].ended) if name in self.ended() else None

    def _see_end(self, name: str, reference: "ray.ObjectRef[Any]") -> None:
        try:
            _raise_failure(name, reference)
        except ApexManiaError as error:
            if not self._members[name].expendable:
                raise
            self._failures[name] = error
            ray.kill(self._members.pop(name).handle)


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
