"""tmrl's environment in a process of its own: ``python -m actors.trackmania.env_child``.

Anything that tmrl raises leaves its own caller waiting for ever, and a game that goes away leaves a thread
that spins; so tmrl lives here, where its end costs a process and not the actor. Messages come by
standard input and go out by standard output, which nothing else may write to:

    setup   home, standin, off_line_m                  -> ready     import_s
    reset   telemetry_port, environment                -> reset     image, features, pressed_s
    line    path (.npy: rows of x, y, z)               -> line
    step    controls [gas, brake, steer]               -> step      image, features, reward, end, ...
                                                          beat      every 0.25 s, whatever goes on
                                                          trouble   cause, error, traceback; it ends

Three things of tmrl are replaced from outside, all of them public names of modules: ``RewardFunction`` by ours,
``gamepad_reset`` by itself with a stopwatch, and the default port of its telemetry client. For the stand-in the
module ``vgamepad`` is another one.

Where the game is comes with the reset, so that tmrl can be imported while the game is still being started.

The end of standard input ends the process at once, so that it never outlives its actor.
"""

import ctypes
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from actors.progress import compile_progress
from actors.trackmania.child_pipe import Message, PipeWriter, receive
from actors.trackmania.tmrl_home import FINISH_REWARD
from actors.trackmania.tmrl_reward import FINISH, TIME_LIMIT, HighWaterReward

BEAT_S = 0.25
GAMEPAD_MODULE = "vgamepad"
_PR_SET_PDEATHSIG = 1
_TRACEBACK_CHARACTERS = 6000


class TmrlGame:
    """The environment that tmrl builds, with our reward in it.

    Args:
        setup: the first message of the actor.
    """

    def __init__(self, setup: Message) -> None:
        self._reward = HighWaterReward(off_line_m=float(setup["off_line_m"]))
        self._pressed_s = 0.0
        self._located = False
        if setup["standin"]:
            from actors.standin import virtual_gamepad  # noqa: PLC0415 - the stand-in's alone

            sys.modules[GAMEPAD_MODULE] = virtual_gamepad
        with _home(Path(str(setup["home"]))):
            import tmrl
            from tmrl.custom.tm import tm_gym_interfaces
            from tmrl.custom.tm.utils.tools import TM2020OpenPlanetClient
        self._client_init = TM2020OpenPlanetClient.__init__
        tm_gym_interfaces.RewardFunction = self._reward
        press = tm_gym_interfaces.gamepad_reset

        def press_and_stamp(gamepad: object) -> None:
            self._pressed_s = time.perf_counter()
            press(gamepad)

        tm_gym_interfaces.gamepad_reset = press_and_stamp
        self._env = tmrl.get_environment()
        compile_progress()

    def reset(self, message: Message) -> Message:
        """Restarts the race and returns the first observation, with when the button was pressed.

        tmrl may press once more where it ends an attempt; the last press before the observation counts.
        """
        if not self._located:
            self._located = True
            os.environ.update(message["environment"])
            host, _, layout = self._client_init.__defaults__
            self._client_init.__defaults__ = (host, int(message["telemetry_port"]), layout)
        observation, _ = self._env.reset()
        return {"kind": "reset", **_seen(observation), "pressed_s": self._pressed_s}

    def follow(self, message: Message) -> Message:
        """Takes the reward line of the race that was started."""
        self._reward.follow(np.load(message["path"], allow_pickle=False))
        return {"kind": "line"}

    def step(self, message: Message) -> Message:
        """Does one env step; where it ends the attempt, tmrl brings the car to rest first."""
        controls = np.array(message["controls"], dtype=np.float32)
        observation, reward, terminated, truncated, _ = self._env.step(controls)
        end = end_of(float(reward), self._reward.ended, truncated=bool(truncated))
        return {
            "kind": "step",
            **_seen(observation),
            "reward": self._reward.paid if end == FINISH else float(reward),
            "terminated": bool(terminated),
            "truncated": bool(truncated),
            "end": end,
            "progress_m": self._reward.progress_m,
            "position": self._reward.position,
        }


def end_of(reward: float, ended: str, *, truncated: bool) -> str:
    """Returns why an attempt ended, empty where it goes on; who finished has finished, on the line or not.

    Args:
        reward: what tmrl paid, with ``FINISH_REWARD`` in it where it saw the finish.
        ended: why our own reward ended the attempt, empty where it did not.
        truncated: whether the time is over.
    """
    if reward > FINISH_REWARD / 2.0:
        return FINISH
    return ended or (TIME_LIMIT if truncated else "")


def _seen(observation: tuple[Any, ...]) -> Message:
    """Returns an observation of TM20FULL: speed, gear, rpm, images, and actions that we keep ourselves."""
    speed, gear, rpm, images, *_ = observation
    return {
        "image": np.asarray(images, dtype=np.uint8).tobytes(),
        "features": [float(speed[0]), float(gear[0]), float(rpm[0])],
    }


@contextmanager
def _home(folder: Path) -> Iterator[None]:
    """Makes a folder the user's home for as long as tmrl is imported, and forgets its public W&B key."""
    names = ("HOME", "USERPROFILE", "WANDB_API_KEY")
    before = {name: os.environ.get(name) for name in names}
    os.environ["HOME"] = os.environ["USERPROFILE"] = str(folder)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def main() -> NoReturn:
    """Serves one actor until it closes its end."""
    _end_with_the_parent()
    writer = PipeWriter(_take_standard_output())

    def report(kind: type[BaseException], error: BaseException | None, trace: Any) -> NoReturn:  # noqa: ANN401 - a traceback
        lines = "".join(traceback.format_exception(kind, error, trace))[-_TRACEBACK_CHARACTERS:]
        trouble = {"kind": "trouble", "cause": _cause(error), "error": f"{kind.__name__}: {error}"}
        try:
            writer.send({**trouble, "traceback": lines})
        finally:
            os._exit(3)

    threading.excepthook = lambda args: report(
        args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
    )
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(inbox,), name="inbox", daemon=True).start()
    threading.Thread(target=_beat, args=(writer,), name="beat", daemon=True).start()
    try:
        _serve(inbox, writer)
    except BaseException as error:  # noqa: BLE001 - the top of the process; reported
        report(type(error), error, error.__traceback__)


def _cause(error: BaseException | None) -> str:
    """Returns the trouble's name in ``actors.trackmania.game_trouble``."""
    missing = error.name or "" if isinstance(error, ImportError) else None
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    if missing == GAMEPAD_MODULE or any(GAMEPAD_MODULE in frame.filename for frame in frames):
        return "gamepad_missing"
    return "tmrl_raised" if missing is None else "tmrl_missing"


def _serve(inbox: "queue.SimpleQueue[Message]", writer: PipeWriter) -> NoReturn:
    began_s = time.perf_counter()
    game = TmrlGame(inbox.get())
    answers = {"reset": game.reset, "line": game.follow, "step": game.step}
    writer.send({"kind": "ready", "import_s": time.perf_counter() - began_s})
    while True:
        message = inbox.get()
        writer.send(answers[message["kind"]](message))


def _listen(inbox: "queue.SimpleQueue[Message]") -> NoReturn:
    """Hands messages on; the end of the stream is the end of the process."""
    while True:
        message = receive(sys.stdin.buffer)
        if message is None:
            os._exit(0)
        inbox.put(message)


def _beat(writer: PipeWriter) -> NoReturn:
    while True:
        writer.send({"kind": "beat"})
        time.sleep(BEAT_S)


def _take_standard_output() -> BinaryIO:
    """Keeps standard output for the messages; what tmrl prints goes to standard error."""
    kept = os.dup(1)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - Windows only

        msvcrt.setmode(kept, os.O_BINARY)
    return os.fdopen(kept, "wb")


def _end_with_the_parent() -> None:
    """Asks Linux to kill this process with the actor, even where it is stopped and cannot see it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
