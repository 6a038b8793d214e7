"""The configuration that tmrl reads is whole and is ours."""

import json
from pathlib import Path

from actors.trackmania.tmrl_home import FINISH_REWARD, tmrl_config, write_home
from common.game_config import GameConfig, TrackmaniaConfig

TOP_LEVEL = [
    "RUN_NAME",
    "BUFFERS_MAXLEN",
    "RW_MAX_SAMPLES_PER_EPISODE",
    "CUDA_TRAINING",
    "CUDA_INFERENCE",
    "VIRTUAL_GAMEPAD",
    "LOCALHOST_WORKER",
    "LOCALHOST_TRAINER",
    "PUBLIC_IP_SERVER",
    "PASSWORD",
    "TLS",
    "TLS_HOSTNAME",
    "TLS_CREDENTIALS_DIRECTORY",
    "NB_WORKERS",
    "WANDB_PROJECT",
    "WANDB_ENTITY",
    "WANDB_KEY",
    "PORT",
    "LOCAL_PORT_SERVER",
    "LOCAL_PORT_TRAINER",
    "LOCAL_PORT_WORKER",
    "BUFFER_SIZE",
    "HEADER_SIZE",
    "SAVE_MODEL_EVERY",
    "MAX_EPOCHS",
    "ROUNDS_PER_EPOCH",
    "TRAINING_STEPS_PER_ROUND",
    "MAX_TRAINING_STEPS_PER_ENVIRONMENT_STEP",
    "ENVIRONMENT_STEPS_BEFORE_TRAINING",
    "UPDATE_MODEL_INTERVAL",
    "UPDATE_BUFFER_INTERVAL",
    "MEMORY_SIZE",
    "BATCH_SIZE",
    "ALG",
    "ENV",
    "__VERSION__",
]


def test_every_key_that_tmrl_asks_for_is_there() -> None:
    assert sorted(tmrl_config(GameConfig(name="tm20"))) == sorted(TOP_LEVEL)


def test_the_environment_is_the_one_of_the_run() -> None:
    link = TrackmaniaConfig(step_s=0.1, capture_s=0.06, stuck_steps=7, grace_steps=33)
    game = GameConfig(name="tm20", history=2, image_size=32, trackmania=link, max_episode_steps=99)
    env = tmrl_config(game)["ENV"]
    assert (env["IMG_HIST_LEN"], env["IMG_WIDTH"], env["IMG_HEIGHT"]) == (2, 32, 32)
    loop, reward = env["RTGYM_CONFIG"], env["REWARD_CONFIG"]
    assert (loop["time_step_duration"], loop["start_obs_capture"]) == (0.1, 0.06)
    assert (loop["ep_max_length"], loop["wait_on_done"]) == (99, True)
    assert (reward["FAILURE_COUNTDOWN"], reward["MIN_STEPS"]) == (7, 33)
    assert (reward["END_OF_TRACK"], reward["CONSTANT_PENALTY"]) == (FINISH_REWARD, 0.0)


def test_offsets_mean_what_they_say_and_the_stand_in_has_none() -> None:
    link = TrackmaniaConfig(screen_x_offset=11, screen_y_offset=22)
    env = tmrl_config(GameConfig(name="tm20", trackmania=link))["ENV"]
    # tmrl adds its X offset to the picture's top edge and its Y offset to the left one
    assert (env["LINUX_Y_OFFSET"], env["LINUX_X_OFFSET"]) == (11, 22)
    env = tmrl_config(GameConfig(name="standin", trackmania=link))["ENV"]
    assert (env["LINUX_Y_OFFSET"], env["LINUX_X_OFFSET"]) == (0, 0)


def test_a_home_is_what_tmrl_expects_to_find(tmp_path: Path) -> None:
    game = GameConfig(name="tm20")
    write_home(tmp_path, game)
    written = tmp_path / "TmrlData" / "config" / "config.json"
    assert json.loads(written.read_text()) == tmrl_config(game)
    assert (tmp_path / "TmrlData" / "reward").is_dir()
