"""``train`` from request to result: plan, folder, launch, aftermath."""

import contextlib
import sys
import time
from dataclasses import dataclass
from typing import Any

from actors.trackmania.prerequisites import require_prerequisites
from common.errors import ApexManiaError
from common.run_size import require_possible
from deploy.aftermath import closing_text, finish_run
from deploy.cluster.cluster_machines import require_room
from deploy.console import RunConsole, open_console
from deploy.critical_notice import critical_notice
from deploy.foreign_redis import check_foreign
from deploy.health.alerts import require_alerts
from deploy.interrupts import Interrupts
from deploy.joined_ray import require_joinable
from deploy.last_words import last_words
from deploy.launch_logging import log_to
from deploy.launcher import Launcher, open_contract
from deploy.redis_address import redacted, redacted_text
from deploy.redis_listen import Listen, keep_listen, require_free
from deploy.redis_program import find_program
from deploy.run_folder import RunFolder, RunLock, point_latest
from deploy.run_name import require_free_name
from deploy.run_record import RunRecord
from deploy.run_removal import discarded_if_taken
from deploy.side_process import WandbProcess
from deploy.train_plan import TrainPlan, TrainRequest, make_plan
from deploy.watch import INTERRUPTED
from learner.learner_step import choose_device


@dataclass(frozen=True, slots=True)
class Trained:
    """How a training ended.

    Attributes:
        folder: the run.
        summary: its results.
        interrupted: whether somebody ended it.
    """

    folder: RunFolder
    summary: dict[str, Any]
    interrupted: bool


def run_training(request: TrainRequest) -> Trained:
    """Trains and returns how it ended.

    Everything that can be wrong with the request is found before a folder is made.

    Args:
        request: the options of ``train``.

    Raises:
        ApexManiaError: with what, why and a fix.
    """
    plan = make_plan(request)
    choose_device(plan.config)
    if request.ray is None or plan.config.game.runs_by_itself:  # else it is never opened here
        require_prerequisites(plan.config.game)
    require_alerts(plan.config.alerts)
    contract = open_contract(plan.config)
    require_possible(plan.config, contract.spec, private_redis=request.redis_url is None)
    if request.redis_url is not None:
        check_foreign(request.redis_url, may_be_full=plan.resumed is not None)
        if plan.resumed is None and request.run_dir is not None:
            require_free_name(request.redis_url, request.run_dir.resolve().name)
    if plan.listen is not None:
        _require_possible(plan.listen)
    if request.ray is not None:
        require_joinable(request.ray, redis_url=request.redis_url, listens=plan.listen is not None)
        require_room(request.ray)
    folder = plan.open_folder()
    with contextlib.ExitStack() as stack:
        stack.enter_context(discarded_if_taken(folder))
        stack.enter_context(RunLock(folder))
        interrupts = stack.enter_context(Interrupts())
        point_latest(folder)
        folder.prepare(plan.config)
        stack.enter_context(log_to(folder.logs / "launcher.log"))
        record = RunRecord.open(folder)
        record.begin(
            config=plan.config,
            preset=plan.preset,
            redis="private" if request.redis_url is None else redacted(request.redis_url),
            command=[redacted_text(word) for word in sys.argv],
            listen=plan.listen,
        )
        console = open_console(title=folder.name)
        _greet(console, plan, folder)
        launcher = Launcher(
            folder=folder,
            contract=contract,
            console=console,
            redis_url=request.redis_url,
            resume=plan.resumed is not None,
            listen=plan.listen,
            cluster=request.ray,
        )
        return _launch(launcher, plan=plan, record=record, console=console, interrupts=interrupts)


def _require_possible(listen: Listen) -> None:
    """Finds out whether a Redis can listen there, and remembers the address for ``token create``.

    Raises:
        ApexManiaError: it is another machine's, taken, or no server here can encrypt.
    """
    find_program(tls=listen.tls)
    require_free(listen)
    keep_listen(listen)


def _launch(
    launcher: Launcher,
    *,
    plan: TrainPlan,
    record: RunRecord,
    console: RunConsole,
    interrupts: Interrupts,
) -> Trained:
    began = time.monotonic()
    folder, outcome = record.folder, launcher.outcome
    summary: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(WandbProcess(folder, plan.config.wandb))
        if plan.request.ray is not None:
            stack.enter_context(last_words(folder, cluster=plan.request.ray))
        try:
            with console:
                launcher.run(interrupts)
        except ApexManiaError as error:
            outcome.reason = f"failed: {error.what}"
            raise
        except SystemExit:
            # While Ray starts, SIGTERM meets Ray's own handler, which raises this.
            outcome.reason = INTERRUPTED
        except KeyboardInterrupt:
            outcome.reason = "interrupted twice"
            raise
        finally:
            record.end(wall_s=time.monotonic() - began, reason=outcome.reason)
            if outcome.began:
                summary = finish_run(
                    folder,
                    config=plan.config,
                    progress=launcher.progress,
                    outcome=outcome,
                    wall_s=record.wall_s,
                    console=console,
                    interrupts=interrupts,
                )
                text = closing_text(
                    folder,
                    summary,
                    interrupted=outcome.interrupted,
                    private_redis=plan.request.redis_url is None,
                )
                console.say(text)
    return Trained(folder, summary, outcome.interrupted)


def _greet(console: RunConsole, plan: TrainPlan, folder: RunFolder) -> None:
    config = plan.config
    game = config.game
    shown = f"{game.name} {game.track}" if game.name == "sim" else game.name
    console.say(
        f"{'Resuming' if plan.resumed else 'Run'} {folder.path}\n"
        f"game {shown}, preset {plan.preset}, "
        f"{_actors_shown(plan)}; "
        "Ctrl-C once ends in order, twice at once"
    )
    reached = None if plan.listen is None else plan.listen.notice
    for notice in (*plan.notices, critical_notice(config, preset=plan.preset), reached):
        if notice:
            console.say(notice)


def _actors_shown(plan: TrainPlan) -> str:
    if plan.request.ray is not None:
        return f"actors on the machines of the cluster ({plan.request.ray})"
    count = plan.config.actors.count
    return f"{count} actor{'s' if count != 1 else ''}"
