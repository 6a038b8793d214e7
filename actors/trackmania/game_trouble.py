"""Everything that goes wrong between us and TrackMania 2020: one table for logs, status and doctor.

A cause is a short constant word. What happens to it is always the same: the log counts it, the status
shows it, ``apexmania doctor --role actor`` finds it, and ``docs/tm20.md`` explains it.
"""

from dataclasses import dataclass

_DOCS = "docs/tm20.md"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One cause.

    Attributes:
        cause: its constant name.
        meaning: what it is, one line.
        fix: what to paste or click.
    """

    cause: str
    meaning: str
    fix: str

    @property
    def anchor(self) -> str:
        """Where the documentation explains it."""
        return f"{_DOCS}#{self.cause}"


_TABLE = (
    Trouble(
        "tmrl_missing",
        "tmrl does not import in the interpreter that would drive the game.",
        "Linux: pip install --no-deps tmrl==0.7.1 && pip install rtgym==0.16 "
        "opencv-python-headless 'mss<11' packaging pandas; Windows: pip install tmrl==0.7.1",
    ),
    Trouble(
        "display_lost",
        "No screen to look at: DISPLAY is not set, or its X server does not answer.",
        "Run this in the session that shows the game, or name its screen: export DISPLAY=:0",
    ),
    Trouble(
        "window_missing",
        "No visible window is titled exactly Trackmania.",
        "Start TrackMania 2020 in windowed mode (Settings > Display), and do not minimise it.",
    ),
    Trouble(
        "window_size",
        "The game's window does not take the size that the camera needs.",
        "Settings > Display: windowed, not borderless or full screen; leave the window unmaximised.",
    ),
    Trouble(
        "telemetry_refused",
        "Nothing listens on the telemetry port: the plugin does not run.",
        "In the game press F3 for Openplanet, then Developer > (Re)load plugin > TMRL Grab Data.",
    ),
    Trouble(
        "port_taken",
        "Another program holds the plugin's only connection, or sits on its port.",
        "End the other program (an old actor, python -m tmrl, a script), or choose another port "
        "with --set game.trackmania.telemetry_port=9001.",
    ),
    Trouble(
        "not_on_map",
        "The plugin accepts us but has no car to speak of: the game shows a menu.",
        "Load the map and start it, so that the car stands on the start line.",
    ),
    Trouble(
        "telemetry_silent",
        "The game drives on, but its plugin sends nothing.",
        "In the game press F3, then Developer > (Re)load plugin > TMRL Grab Data.",
    ),
    Trouble(
        "game_frozen",
        "Neither picture nor telemetry moves, whatever is pressed.",
        "End Trackmania in the task manager, start it anew and load the map.",
    ),
    Trouble(
        "telemetry_stalled",
        "Telemetry flowed and has stopped, while the connection stands.",
        "Look at the game: a dialogue, a loading screen, or the map was left; go back to the map.",
    ),
    Trouble(
        "telemetry_closed",
        "The plugin closed the connection: it or the game ended.",
        "Start the game again, or reload the plugin: F3, Developer > (Re)load plugin.",
    ),
    Trouble(
        "telemetry_misframed",
        "The bytes on the telemetry port are not messages of 11 numbers (44 bytes).",
        "Install the plugin that belongs to tmrl 0.7.1 (TMRL_GrabData.op of its resources), "
        "and remove other versions of it.",
    ),
    Trouble(
        "tee_died",
        "The actor's own reader of the telemetry ended by an error.",
        "It is started anew. The actor's log has the traceback under telemetry_tee_died: please "
        "report it.",
    ),
    Trouble(
        "standin_failed",
        "The actor's own stand-in was lost and does not start again.",
        "It is tried again every few seconds. The detail says what failed; look for a lack of memory "
        "or disk space, then: apexmania doctor --role actor --game standin",
    ),
    Trouble(
        "other_map",
        "The car starts more than 10 m away from the start of the reward line.",
        "Load the map that the reward line was recorded on, or record one for this map: "
        "apexmania game record-line",
    ),
    Trouble(
        "gamepad_missing",
        "The virtual gamepad cannot be made here.",
        "Windows: pip install --force-reinstall vgamepad, and accept the ViGEmBus driver that it "
        "installs; Linux: sudo apt install libevdev2 && sudo modprobe uinput && "
        "sudo chmod 0666 /dev/uinput && pip install vgamepad",
    ),
    Trouble(
        "inputs_dead",
        "What the virtual gamepad presses does not reach the car.",
        "Unplug other gamepads, click on the game's window, and in Settings > Controls see that the "
        "Xbox 360 gamepad is bound to gas, brake and steering.",
    ),
    Trouble(
        "car_jumped",
        "The car was suddenly elsewhere: the race was restarted by hand, or another map was loaded.",
        "Leave the game to the actor while it drives; it goes on with the next attempt.",
    ),
    Trouble(
        "late_steps",
        "The env steps come later than the game's clock asks.",
        "Lower the game's graphics, cap its frame rate at 60, close other programs, and see that it is "
        "not throttled in the background.",
    ),
    Trouble(
        "policy_slow",
        "Choosing an action takes longer than a step leaves for it.",
        "Use a smaller network (network.conv_channels, network.hidden), or fewer actors on this PC.",
    ),
    Trouble(
        "child_hung",
        "The process that runs tmrl did not answer in time.",
        "It was ended and started anew. If it comes back: apexmania doctor --role actor",
    ),
    Trouble(
        "child_died",
        "The process that runs tmrl ended by itself.",
        "It was started anew. If it comes back: read env_child lines in the actor's log, and look "
        "for a lack of memory.",
    ),
    Trouble(
        "tmrl_raised",
        "tmrl raised an error.",
        "It was started anew. The actor's log has the traceback; then: apexmania doctor --role actor",
    ),
)

TROUBLES: dict[str, Trouble] = {trouble.cause: trouble for trouble in _TABLE}
"""Every cause by its name, in the order in which the doctor looks for them."""
