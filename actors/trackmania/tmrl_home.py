"""A home folder for tmrl, written from our configuration, so that nobody edits its ``config.json``.

tmrl reads ``~/TmrlData/config/config.json`` while it is imported, refuses to start where one of 57 keys is
missing, and downloads a folder of its own where there is none. Most keys belong to its trainer, which
never runs here.
"""

import json
from pathlib import Path
from typing import Any

from common.game_config import GameConfig

_VERSION = "0.6.0"
FINISH_REWARD = 1e6
"""Far more than any env step pays, so that what tmrl pays says whether it saw the finish."""
_CHECK_FORWARD, _CHECK_BACKWARD, _MAX_STRAY_M = 500, 10, 100.0
_TRAINER: dict[str, Any] = {
    "RUN_NAME": "apexmania",
    "BUFFERS_MAXLEN": 1,
    "RW_MAX_SAMPLES_PER_EPISODE": 1_000_000,
    "CUDA_TRAINING": False,
    "CUDA_INFERENCE": False,
    "LOCALHOST_WORKER": True,
    "LOCALHOST_TRAINER": True,
    "PUBLIC_IP_SERVER": "127.0.0.1",
    "PASSWORD": "",
    "TLS": False,
    "TLS_HOSTNAME": "",
    "TLS_CREDENTIALS_DIRECTORY": "",
    "NB_WORKERS": 1,
    "WANDB_PROJECT": "",
    "WANDB_ENTITY": "",
    "WANDB_KEY": "",
    "PORT": 1,
    "LOCAL_PORT_SERVER": 1,
    "LOCAL_PORT_TRAINER": 1,
    "LOCAL_PORT_WORKER": 1,
    "BUFFER_SIZE": 1,
    "HEADER_SIZE": 1,
    "SAVE_MODEL_EVERY": 0,
    "MAX_EPOCHS": 1,
    "ROUNDS_PER_EPOCH": 1,
    "TRAINING_STEPS_PER_ROUND": 1,
    "MAX_TRAINING_STEPS_PER_ENVIRONMENT_STEP": 1.0,
    "ENVIRONMENT_STEPS_BEFORE_TRAINING": 1,
    "UPDATE_MODEL_INTERVAL": 1,
    "UPDATE_BUFFER_INTERVAL": 1,
    "MEMORY_SIZE": 1,
    "BATCH_SIZE": 1,
    "ALG": {
        "ALGORITHM": "SAC",
        "LEARN_ENTROPY_COEF": False,
        "LR_ACTOR": 0.001,
        "LR_CRITIC": 0.001,
        "LR_ENTROPY": 0.001,
        "GAMMA": 0.99,
        "POLYAK": 0.99,
        "TARGET_ENTROPY": -1.0,
        "ALPHA": 0.01,
        "OPTIMIZER_ACTOR": "adam",
        "OPTIMIZER_CRITIC": "adam",
    },
}
"""What tmrl's trainer would need; only its presence counts."""


def tmrl_config(game: GameConfig) -> dict[str, Any]:
    """Returns the contents of ``config.json`` for an environment of TM20FULL as our game shows it.

    tmrl swaps the axes of its two offsets (the one called X moves the picture down), and the stand-in
    stands in the corner of a screen of its own.
    """
    link = game.trackmania
    across, down = (
        (0, 0) if game.name == "standin" else (link.screen_x_offset, link.screen_y_offset)
    )
    return {
        **_TRAINER,
        "VIRTUAL_GAMEPAD": True,
        "ENV": {
            "RTGYM_INTERFACE": "TM20FULL",
            "WINDOW_WIDTH": link.window_width,
            "WINDOW_HEIGHT": link.window_height,
            "SLEEP_TIME_AT_RESET": link.reset_sleep_s,
            "IMG_HIST_LEN": game.history,
            "IMG_WIDTH": game.image_size,
            "IMG_HEIGHT": game.image_size,
            "IMG_GRAYSCALE": True,
            "LINUX_X_OFFSET": down,
            "LINUX_Y_OFFSET": across,
            "RTGYM_CONFIG": {
                "time_step_duration": link.step_s,
                "start_obs_capture": link.capture_s,
                "time_step_timeout_factor": 1.0,
                "act_buf_len": 1,
                "benchmark": False,
                "wait_on_done": True,
                "ep_max_length": game.max_episode_steps,
            },
            "REWARD_CONFIG": {
                "END_OF_TRACK": FINISH_REWARD,
                "CONSTANT_PENALTY": 0.0,
                "CHECK_FORWARD": _CHECK_FORWARD,
                "CHECK_BACKWARD": _CHECK_BACKWARD,
                "FAILURE_COUNTDOWN": link.stuck_steps,
                "MIN_STEPS": link.grace_steps,
                "MAX_STRAY": _MAX_STRAY_M,
            },
        },
        "__VERSION__": _VERSION,
    }


def write_home(folder: Path, game: GameConfig) -> None:
    """Writes the ``TmrlData`` of a home folder.

    Args:
        folder: an empty folder, to be ``HOME`` (on Windows ``USERPROFILE``) while tmrl is imported.
        game: what the environment shall show.
    """
    data = folder / "TmrlData"
    for name in ("config", "reward", "weights", "checkpoints", "dataset"):
        (data / name).mkdir(parents=True)
    (data / "config" / "config.json").write_text(json.dumps(tmrl_config(game), indent=1))
