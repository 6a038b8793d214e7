from pathlib import Path

import pytest

from common.config import Config
from common.critical import value_at
from common.errors import ConfigError
from deploy import config_file, presets

PROVEN: dict[str, object] = {
    "learner.target.rule": "hard",
    "learner.target.period_learner_steps": 1500,
    "learner.learning_rate.initial": 1e-4,
    "learner.learning_rate.schedule": "constant",
    "exploration.counted_in": "env_steps",
    "exploration.epsilon_start": 1.0,
    "exploration.epsilon_end": 0.01,
    "exploration.epsilon_decay_to": 2_500_000,
    "exploration.epsilon_cutoff": 25_000_000,
    "exploration.n_tau_action": 8,
    "learner.discount": 0.997,
    "learner.batch_size": 32,
    "learner.grad_clip_norm": 100.0,
    "learner.n_tau_train": 8,
    "learner.double": True,
    "learner.n_step": 1,
    "learner.kappa": 1.0,
    "learner.munchausen": False,
    "learner.replay_start_size": 0,
    "replay.capacity": 100_000,
    "replay.prioritized": True,
    "replay.alpha": 0.6,
    "replay.beta_start": 0.4,
    "replay.beta_increment": 0.001,
    "replay.priority": "mean",
    "replay.samples_per_insert": 32.0,
    "network.conv_channels": (8, 16, 16, 16),
    "network.conv_strides": (2, 2, 2, 2),
    "network.norm": "batch",
    "network.feature_hidden": 256,
    "network.cosine_dim": 64,
    "network.hidden": 128,
    "network.dueling": True,
    "network.noisy": True,
    "network.noisy_std": 0.5,
    "game.history": 4,
    "game.image_size": 64,
    "game.feature_scale": (1000.0, 10.0, 10000.0),
    "game.action_history": 0,
    "game.finish_bonus": 0.0,
    "game.reward_clip": 0.0,
    "game.reward_scale": 1.0,
    "checkpoint.every_episodes": 10,
    "checkpoint.keep_last": 3,
    "run.max_env_steps": 10_000_000,
    "exploration.ladder": 0.0,
    "exploration.risk": 0.0,
}


@pytest.mark.parametrize(("key", "value"), PROVEN.items())
def test_the_default_is_the_proven_value(key: str, value: object) -> None:
    assert value_at(Config(), key) == value


def test_the_eleven_actions_are_the_proven_ones() -> None:
    assert Config().game.actions == (
        (0, 0, 0), (1, 0, 0), (1, 0, -1), (1, 0, 1), (0, 0, -1), (0, 0, 1),
        (0, 0, -0.3), (0, 0, 0.3), (0, 1, 0), (1, 1, -1), (1, 1, 1),
    )  # fmt: skip


def test_the_order_of_scale_and_clip_is_explained() -> None:
    (entry,) = config_file.explain("game.reward_scale")
    assert entry.default == 1.0
    assert "before reward_clip" in entry.help


def test_every_key_has_a_line_of_help() -> None:
    assert [entry.key for entry in config_file.key_helps().values() if not entry.help] == []


@pytest.mark.parametrize("name", presets.names())
def test_each_preset_loads(name: str) -> None:
    config_file.load_config(preset=name)


def test_the_proven_preset_changes_nothing() -> None:
    assert config_file.load_config(preset="proven") == Config()


def test_the_failed_run_is_what_the_record_says() -> None:
    config = config_file.load_config(preset="failed-run")
    assert (config.learner.target.rule, config.learner.target.mix) == ("soft", 0.002)
    rate = config.learner.learning_rate
    assert (rate.schedule, rate.initial, rate.final, rate.cosine_episodes) == (
        "cosine", 1e-3, 5e-5, 5000,
    )  # fmt: skip
    exploration = config.exploration
    assert (exploration.counted_in, exploration.epsilon_start, exploration.epsilon_end) == (
        "episodes", 0.9, 0.01,
    )  # fmt: skip
    assert exploration.epsilon_decay_episodes == 1000
    assert config.game.action_history == 4
    assert config.game.finish_bonus > 0


def test_a_setting_beats_the_file_which_beats_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("learner: {discount: 0.5, n_step: 5}\n")
    config = config_file.load_config(
        preset="quickstart", file=file, settings=["learner.n_step=7", "learner.n_step=9"]
    )
    assert (config.learner.discount, config.learner.n_step) == (0.5, 9)
    assert config.network.norm == "none"


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "1.0e-4", "0.0001", ".1e-3"])
def test_scientific_numbers_work_in_yaml(text: str) -> None:
    config = config_file.load_config(settings=[f"learner.learning_rate.initial={text}"])
    assert config.learner.learning_rate.initial == pytest.approx(1e-4)


def test_all_problems_come_together_with_key_value_and_fix() -> None:
    with pytest.raises(ConfigError) as caught:
        config_file.load_config(settings=["learner.batchsize=3", "replay.alpha=7", "target.mix=1"])
    text = str(caught.value)
    assert "3 problems" in text
    assert "learner.batchsize = 3" in text
    assert "did you mean learner.batch_size?" in text
    assert "replay.alpha = 7" in text
    assert "did you mean learner.target.mix?" in text
    assert "apexmania config explain replay.alpha" in caught.value.fix


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        (["foo"], "not key=value"),
        ([".=3"], "not key=value"),
        (["learner=3"], "learner = 3"),
        (["learner.n_step=[1"], "not YAML"),
        (["replay.capacity=8"], "the learner would never start"),
        (["game.history=59", "learner.n_step=5"], "no transition fits.*game.history=58"),
        (["game.history=63"], "no transition fits"),
        (["network.conv_strides=[2]"], "give both the same length"),
    ],
)
def test_a_bad_setting_is_refused(settings: list[str], part: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)" + part):
        config_file.load_config(settings=settings)


@pytest.mark.parametrize(
    ("content", "part"), [("- 1\n", "not a mapping"), ("a: [1\n", "not YAML"), (None, "be read")]
)
def test_a_bad_file_is_refused(tmp_path: Path, content: str | None, part: str) -> None:
    file = tmp_path / "my.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=part):
        config_file.load_config(file=file)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"(?s)quickstart.*--preset quickstart"):
        config_file.load_config(preset="quikstart")


@pytest.mark.parametrize("name", presets.names())
def test_the_resolved_yaml_reads_back_to_the_same_configuration(name: str, tmp_path: Path) -> None:
    config = config_file.load_config(preset=name)
    file = tmp_path / "config.yaml"
    file.write_text(config_file.to_yaml(config))
    assert config_file.load_config(file=file) == config


def test_explain_finds_keys_and_sections_and_suggests() -> None:
    assert [entry.key for entry in config_file.explain("replay.alpha")] == ["replay.alpha"]
    assert len(config_file.explain("learner.target")) == 3
    with pytest.raises(ConfigError, match=r"replay\.alpha"):
        config_file.explain("replay.alfa")


@pytest.mark.parametrize(
    ("text", "fix"), [("1: 2\n", "apexmania config show"), ("- a\n- b\n", "learner: {batch_size")]
)
def test_a_file_of_the_wrong_shape_gets_a_fix_on_one_line(
    tmp_path: Path, text: str, fix: str
) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config_file.load_config(file=file)
    assert fix in caught.value.fix
    assert str(caught.value).count("\n") == 2


def test_a_reward_line_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = config_file.load_config(settings=["game.trackmania.reward_line=lines/map.npz"])
    assert config.game.trackmania.reward_line == str(tmp_path / "lines" / "map.npz")
    assert config_file.load_config().game.trackmania.reward_line == ""
