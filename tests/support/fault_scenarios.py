"""What is done to the run, and what must hold afterwards; one scenario a fault.

Every scenario keeps the same invariant unless it says otherwise: each transition that an actor counted as
acknowledged reaches the learner's side, once, in order and under ids that never change.
"""

import contextlib
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.support.fault_member import STEPS
from tests.support.fault_outcome import Outcome
from tests.support.fault_rig import FaultRig, Member
from tests.support.lab_redis import UNSYNCED_S
from tests.support.redis_server import break_framing
from tests.support.waiting import wait_until

RESTART_PAUSE_S = 0.5
"""What the launcher waits before it starts a Redis anew."""
FAR_DELAY_S = 0.1
FAR_LOSS_PERCENT = 2
ROAD_PORT = 7390
CLOCK_BACK_S = 3600
LIMIT_S = 120.0
_SETTLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Strike:
    """What was done, when, and who has to be back.

    Attributes:
        began_s: when it was done (monotonic).
        mended_s: when it ended, was mended, or the process was started again.
        actors: whose transitions have to arrive anew.
        learns: whether the learner has to take learner steps anew.
        parent: whether the first to know is the parent of the dead process, at once.
        note: what else was seen.
        starts_s: how long a process took to start before it could be noticed, in seconds.
    """

    began_s: float
    mended_s: float
    actors: tuple[Member, ...] = ()
    learns: bool = False
    parent: bool = False
    note: str = ""
    starts_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault by name.

    Attributes:
        title: as the table says it.
        act: does it to a rig and returns when all is mended.
        loses: whether it must lose or double something: a rule of the log is switched off.
        may_lose: transitions that it may cost at most: what was damaged on the disk itself.
        signs: whether it has to leave a sign; not what looks like an orderly end, or is mended too soon.
        rig: arguments of the rig it needs; scenarios of equal ones may share it.
    """

    title: str
    act: Callable[[FaultRig], Strike]
    loses: bool = False
    may_lose: int = 0
    signs: bool = True
    rig: Mapping[str, object] = field(default_factory=dict)


def run(name: str, rig: FaultRig) -> Outcome:
    """Breaks a healthy run once, waits until it is healthy again, and compares the books."""
    scenario = SCENARIOS[name]
    wait_until(rig.flows, timeout_s=LIMIT_S)
    before = rig.books()
    strike = scenario.act(rig)
    recovered_s, caught_up_s = None, None
    if not scenario.loses:
        recovered_s = _recovery(rig, strike)
        wait_until(rig.flows, timeout_s=LIMIT_S)
        caught_up_s = time.monotonic() - strike.mended_s
        rig.watcher.check_ids()
    signs = rig.signs(strike.began_s)
    sign = f"{signs[0].source}: {signs[0].event}" if signs else ""
    detected_s = signs[0].at_s - strike.began_s if signs else None
    if strike.parent:
        detected_s, sign = 0.0, "its parent"
    books = rig.books(patience_s=_SETTLE_S) if scenario.loses else rig.books()
    return Outcome(
        name=name,
        title=scenario.title,
        detected_s=detected_s,
        sign=sign,
        recovered_s=recovered_s,
        caught_up_s=caught_up_s,
        lost=books.lost - before.lost,
        doubled=books.doubled - before.doubled,
        gone=books.gone - before.gone,
        note=strike.note,
        must_lose=scenario.loses,
        may_lose=scenario.may_lose,
        must_sign=scenario.signs,
        starts_s=strike.starts_s,
    )


def _recovery(rig: FaultRig, strike: Strike) -> float | None:
    moments: list[float] = []
    if strike.learns:
        pid = rig.learner.process.pid if rig.learner.process else 0
        stepped = partial(rig.watcher.first_learner_step, strike.mended_s, pid)
        wait_until(lambda: stepped() is not None, timeout_s=LIMIT_S)
        moments.append(stepped() or 0.0)
    for actor in strike.actors:
        arrival = partial(rig.watcher.first_received, actor.name, actor.life, strike.mended_s)
        wait_until(lambda arrival=arrival: arrival() is not None, timeout_s=LIMIT_S)
        moments.append(arrival() or 0.0)
    return max(moments) - strike.mended_s if moments else None


def _kill_actor(rig: FaultRig) -> Strike:
    actor = rig.actors[0]
    began_s = time.monotonic()
    actor.kill()
    rig.restart(actor)
    return Strike(began_s, began_s, (actor,), parent=True)


def _stop(name: str, rig: FaultRig, *, seconds: float) -> Strike:
    """Stops a process for a while, as a hang or a suspended machine does."""
    member = rig.members[name]
    began_s = time.monotonic()
    member.signal(signal.SIGSTOP)
    time.sleep(seconds)
    mended_s = rig.drain()
    member.signal(signal.SIGCONT)
    actors = {"actor": (member,), "replay": tuple(rig.actors), "learner": ()}[member.role]
    return Strike(began_s, mended_s, actors, learns=member.role == "learner")


def _kill_replay(rig: FaultRig) -> Strike:
    began_s = time.monotonic()
    rig.replay.kill()
    mended_s = rig.drain()
    rig.restart(rig.replay)
    return Strike(began_s, mended_s, tuple(rig.actors), parent=True)


def _kill_learner(rig: FaultRig, *, in_checkpoint: bool) -> Strike:
    checkpoints = rig.folder / "learner" / "checkpoints"
    wait_until(lambda: any(checkpoints.glob("step-*")), timeout_s=LIMIT_S)
    if in_checkpoint:
        deadline = time.monotonic() + LIMIT_S
        while not any(name.endswith(".tmp") for name in _names(checkpoints)):
            assert time.monotonic() < deadline, "no checkpoint was caught half written"
    began_s = time.monotonic()
    rig.learner.kill()
    halves = [name for name in _names(checkpoints) if name.startswith(".step")]
    kept = max(name for name in _names(checkpoints) if name.startswith("step-"))
    steps = rig.watcher.learner_steps[-1][2]
    rig.restart(rig.learner)
    note = f"resumed at learner step {int(kept[5:])}; its last heartbeat said {steps}"
    if in_checkpoint:
        note += f", a half checkpoint was left: {'yes' if halves else 'no'}"
    return Strike(began_s, began_s, learns=True, parent=True, note=note)


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _kill_redis(rig: FaultRig) -> Strike:
    began_s = time.monotonic()
    rig.redis.kill()
    time.sleep(RESTART_PAUSE_S)
    mended_s = time.monotonic()
    rig.redis.start()
    return Strike(began_s, mended_s, tuple(rig.actors), learns=True)


def _stop_redis(rig: FaultRig, *, seconds: float) -> Strike:
    began_s = time.monotonic()
    rig.redis.pause()
    time.sleep(seconds)
    rig.redis.resume()
    return Strike(began_s, time.monotonic(), tuple(rig.actors))


def _cut_power(rig: FaultRig) -> Strike:
    began_s = time.monotonic()
    lost = rig.redis.power_cut()
    time.sleep(RESTART_PAUSE_S)
    mended_s = time.monotonic()
    rig.redis.start()
    return Strike(
        began_s, mended_s, tuple(rig.actors), note=f"{lost / 1000:.0f} kB were not on disk"
    )


def _tear_tail(rig: FaultRig) -> Strike:
    began_s = time.monotonic()
    rig.redis.kill()
    rig.redis.cut_append_only_tail(7)
    time.sleep(RESTART_PAUSE_S)
    mended_s = time.monotonic()
    rig.redis.start()
    return Strike(began_s, mended_s, tuple(rig.actors))


def _flip_frame(rig: FaultRig) -> Strike:
    """Alters one pixel in the file; Redis cannot notice, the checksum of the segment does."""
    began_s = time.monotonic()
    rig.redis.kill()
    data = bytearray(rig.redis.append_only_file().read_bytes())
    frames = data.rindex(b"frames:pc-0")
    data[frames + 2000] ^= 1
    rig.redis.append_only_file().write_bytes(data)
    rig.redis.start()
    rig.learner.kill()
    rig.restart(rig.learner)
    return Strike(began_s, time.monotonic(), tuple(rig.actors), learns=True)


def _break_framing(rig: FaultRig) -> Strike:
    """Alters a byte that Redis must understand: it refuses the file until it is repaired."""
    began_s = time.monotonic()
    rig.redis.kill()
    file = rig.redis.append_only_file()
    size = file.stat().st_size
    break_framing(file, behind=20_000)
    rig.redis.spawn()
    wait_until(lambda: rig.redis.ended, timeout_s=LIMIT_S)
    repaired = subprocess.run(
        ["redis-check-aof", "--fix", str(file)], input=b"y\n", capture_output=True, check=False
    )
    assert repaired.returncode == 0, repaired.stdout
    mended_s = time.monotonic()
    rig.redis.start()
    note = f"Redis refused to start; redis-check-aof --fix cut {size - file.stat().st_size} bytes"
    return Strike(began_s, mended_s, tuple(rig.actors), note=note)


def _fill_disk(rig: FaultRig, *, seconds: float) -> Strike:
    ballast = rig.redis.inside(rig.redis.folder / "ballast")
    began_s = time.monotonic()
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(65536))
    time.sleep(seconds)
    ballast.unlink()
    return Strike(began_s, time.monotonic(), tuple(rig.actors))


def _fill_memory(rig: FaultRig, *, seconds: float) -> Strike:
    rig.client.config_set("maxmemory-policy", "noeviction")
    began_s = time.monotonic()
    rig.client.config_set("maxmemory", "1")
    time.sleep(seconds)
    rig.client.config_set("maxmemory", "0")
    return Strike(began_s, time.monotonic(), tuple(rig.actors))


def _partition(rig: FaultRig, *, seconds: float, direction: str) -> Strike:
    actor = rig.actors[0]
    began_s = time.monotonic()
    if direction == "both":
        rig.lab.cut(actor.host)
    else:
        rig.lab.cut_one_way(actor.host, "out" if direction == "out" else "in")
    time.sleep(seconds)
    waited = rig.newest_line(actor) or {"appended": 0, "acked": 0}
    rig.lab.mend(actor.host)
    backlog = waited["appended"] - waited["acked"]
    return Strike(began_s, time.monotonic(), (actor,), note=f"{backlog} transitions had waited")


def _far_away(rig: FaultRig, *, seconds: float) -> Strike:
    """An actor behind a long, lossy road: 100 ms each way, and 2 % of the packets lost each way."""
    host = rig.lab.host("pc-far")
    road = host.start(
        [
            *(sys.executable, "-m", "tests.support.slow_road", "--port", str(ROAD_PORT)),
            *("--to", f"{rig.head.address}:{rig.redis.port}", "--delay-s", str(FAR_DELAY_S)),
        ],
        log=rig.folder / "road.log",
        cwd=Path.cwd(),
    )
    url = rig.redis.url.replace(f"{rig.head.address}:{rig.redis.port}", f"127.0.0.1:{ROAD_PORT}")
    rig.lab.lose(host, FAR_LOSS_PERCENT)
    actor = rig.add_actor("pc-far", host, url=url)
    wait_until(lambda: rig.newest_line(actor) is not None, timeout_s=LIMIT_S)
    started_s = time.monotonic()
    time.sleep(seconds)
    newest = rig.newest_line(actor) or {"appended": 0, "acked": 0}
    share = 100 * newest["acked"] / max(1, newest["appended"])
    wait_until(partial(rig.is_caught_up, actor), timeout_s=LIMIT_S)
    rig.lab.mend(host)
    _end(actor)
    road.kill()
    note = f"{share:.0f} % of what it appended was acknowledged while it lasted"
    return Strike(started_s, time.monotonic(), note=note)


def _end(actor: Member) -> None:
    actor.signal(signal.SIGTERM)
    assert actor.process is not None
    actor.process.wait(timeout=LIMIT_S)


def _set_clock_back(rig: FaultRig) -> Strike:
    actor = rig.actors[0]
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    began_s = time.monotonic()
    _end(actor)
    actor.env = {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"-{CLOCK_BACK_S}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    mended_s = time.monotonic()
    rig.restart(actor)
    actor.env = {}
    wait_until(lambda: rig.watcher.received(actor.name, actor.life) > 5, timeout_s=LIMIT_S)
    newest = rig.newest_line(actor)
    assert newest is not None
    behind = round(time.time() - newest["wall"])
    return Strike(began_s, mended_s, (actor,), note=f"its clock is {behind} s behind")


def _take_name(rig: FaultRig) -> Strike:
    actor = rig.actors[0]
    older = actor.process
    assert older is not None
    began_s = time.monotonic()
    rig.restart(actor)
    code = older.wait(timeout=LIMIT_S)
    wait_until(lambda: rig.ledger(actor), timeout_s=LIMIT_S)
    starts_s = float(rig.ledger(actor)[0]["t"]) - began_s
    note = f"the older ended with exit code {code} after {time.monotonic() - began_s:.1f} s"
    return Strike(began_s, began_s, (actor,), note=note, starts_s=starts_s)


def _lie_about_password(rig: FaultRig, *, seconds: float) -> Strike:
    url = rig.redis.url.replace("redis://:", "redis://:not-")
    began_s = time.monotonic()
    stranger = rig.add_actor("stranger", rig.lab.host("stranger"), url=url)
    wait_until(lambda: rig.signs(began_s), timeout_s=LIMIT_S)
    knocks_s = time.monotonic()
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not stranger.alive, timeout_s=seconds)
    code = stranger.exit_code
    if stranger.alive:
        stranger.kill()
    note = "it still tried"
    if code is not None:
        note = f"it ended with exit code {code} after {time.monotonic() - knocks_s:.0f} s"
    return Strike(began_s, time.monotonic(), tuple(rig.actors), note=note)


def _spoil_weights(rig: FaultRig) -> Strike:
    blob = bytearray(rig.client.get(rig.keys.weights) or b"")
    blob[7] ^= 1
    blob[-1] ^= 1
    began_s = time.monotonic()
    rig.client.set(rig.keys.weights, bytes(blob))
    wait_until(lambda: rig.signs(began_s), timeout_s=LIMIT_S)
    return Strike(began_s, time.monotonic(), tuple(rig.actors))


def _run_old_code(rig: FaultRig, *, seconds: float) -> Strike:
    old = rig.add_actor("pc-old", rig.lab.host("pc-old"), "--old-code")
    wait_until(lambda: (rig.newest_line(old) or {"acked": 0})["acked"], timeout_s=LIMIT_S)
    began_s = float(rig.ledger(old)[0]["t"])
    time.sleep(seconds)
    acked = (rig.newest_line(old) or {"acked": 0})["acked"]
    old.kill()
    arrived = rig.watcher.received("pc-old", 0)
    assert arrived == 0, "the learner would have got them"
    note = f"all {acked} transitions it wrote were refused"
    return Strike(began_s, time.monotonic(), tuple(rig.actors), note=note)


def _cut_power_unread(rig: FaultRig) -> Strike:
    """Cuts the power when the learner's side has not read yet what the disk does not hold."""
    rig.replay.signal(signal.SIGSTOP)
    time.sleep(UNSYNCED_S)
    strike = _cut_power(rig)
    rig.replay.signal(signal.SIGCONT)
    return strike


def _cut_power_of_trusting(rig: FaultRig) -> Strike:
    strike = _cut_power_unread(rig)
    time.sleep(_SETTLE_S)
    return strike


def _stop_redis_under_star(rig: FaultRig) -> Strike:
    strike = _stop_redis(rig, seconds=3.0)
    for actor in rig.actors:
        wait_until(partial(rig.is_caught_up, actor), timeout_s=LIMIT_S)
        _end(actor)
    return strike


_DISK = {"tmpfs_mb": 48}

SCENARIOS: dict[str, Scenario] = {
    "actor-kill": Scenario("actor killed (-9)", _kill_actor),
    "actor-stop": Scenario("actor stopped for 12 s", partial(_stop, "pc-0", seconds=12.0)),
    "replay-kill": Scenario("replay service killed (-9)", _kill_replay),
    "replay-stop": Scenario(
        "replay service stopped for 10 s", partial(_stop, "replay", seconds=10.0)
    ),
    "learner-kill": Scenario(
        "learner killed (-9) in mid-update", partial(_kill_learner, in_checkpoint=False)
    ),
    "learner-kill-checkpoint": Scenario(
        "learner killed (-9) in mid-checkpoint", partial(_kill_learner, in_checkpoint=True)
    ),
    "learner-stop": Scenario("learner stopped for 12 s", partial(_stop, "learner", seconds=12.0)),
    "redis-kill": Scenario("Redis killed (-9)", _kill_redis),
    "redis-stop": Scenario("Redis stopped for 10 s", partial(_stop_redis, seconds=10.0)),
    "power-cut": Scenario("power cut of Redis: the last 2 s were not on disk", _cut_power),
    "power-cut-unread": Scenario("the same, when nobody had read those 2 s yet", _cut_power_unread),
    "torn-tail": Scenario("append-only file torn in its last command", _tear_tail),
    "flipped-pixel": Scenario(
        "append-only file: one bit of a picture flipped", _flip_frame, may_lose=STEPS
    ),
    "flipped-framing": Scenario("append-only file: one bit of its framing flipped", _break_framing),
    "disk-full": Scenario(
        "disk of Redis full for 10 s", partial(_fill_disk, seconds=10.0), rig=_DISK
    ),
    "memory-full": Scenario("memory of Redis full for 10 s", partial(_fill_memory, seconds=10.0)),
    **{
        f"partition-{direction}-{seconds}": Scenario(
            f"actor cut off for {seconds} s: {words}",
            partial(_partition, seconds=float(seconds), direction=direction),
        )
        for seconds, (direction, words) in itertools.product(
            (5, 30, 100),
            (
                ("both", "both ways"),
                ("out", "what it sends is lost"),
                ("in", "what it is sent is lost"),
            ),
        )
    },
    "far-away": Scenario(
        "100 ms delay and 2 % loss each way, 20 s", partial(_far_away, seconds=20.0)
    ),
    "clock-back": Scenario(
        "actor started again with its clock an hour back", _set_clock_back, signs=False
    ),
    "two-of-a-name": Scenario("a second actor of the same name", _take_name),
    "wrong-password": Scenario(
        "an actor with a wrong password", partial(_lie_about_password, seconds=30.0)
    ),
    "corrupt-weights": Scenario("weights with a flipped bit", _spoil_weights),
    "old-code": Scenario(
        "an actor of another code that does not check", partial(_run_old_code, seconds=3.0)
    ),
    "ablation-no-resend": Scenario(
        "WITHOUT sending again: power cut of Redis, nobody had read the last 2 s",
        _cut_power_of_trusting,
        loses=True,
        rig={"link": "no-resend"},
    ),
    "ablation-star-ids": Scenario(
        "WITHOUT explicit ids (XADD *): Redis stopped for 3 s",
        _stop_redis_under_star,
        loses=True,
        rig={"link": "star-ids"},
    ),
}
