"""What a game shows and accepts: the shapes that every other part derives its own from."""

from dataclasses import asdict, dataclass, field

from common.game_config import GameConfig


@dataclass(frozen=True, slots=True)
class GameSpec:
    """The observation and action layout of one game.

    Attributes:
        history: how many consecutive frames an observation stacks, newest last.
        frame_height: rows of one grey frame, pixels.
        frame_width: columns of one grey frame, pixels.
        n_features: length of the feature vector (speed, gear, rpm, ...).
        n_actions: number of discrete actions.
        feature_scale: divisor of each feature, stored with the weights.
        reward_line: SHA-256 of the reward lines, empty for a game that brings its own reward.
    """

    history: int
    frame_height: int
    frame_width: int
    n_features: int
    n_actions: int
    feature_scale: tuple[float, ...]
    reward_line: str = field(default="", compare=False)  # no shape: networks drive other maps too

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uint8 frame."""
        return self.frame_height * self.frame_width

    def to_dict(self) -> dict[str, object]:
        """Returns plain values for msgpack, JSON and the contract fingerprint."""
        return {**asdict(self), "feature_scale": list(self.feature_scale)}

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> "GameSpec":
        """Rebuilds the spec from what ``to_dict`` returned."""
        scale = values["feature_scale"]
        assert isinstance(scale, list | tuple)
        integers = {name: int(str(values[name])) for name in _INTEGER_FIELDS}
        return cls(
            **integers,
            feature_scale=tuple(float(divisor) for divisor in scale),
            reward_line=str(values.get("reward_line", "")),
        )


_INTEGER_FIELDS = ("history", "frame_height", "frame_width", "n_features", "n_actions")


def action_history_features(game: GameConfig, n_actions: int) -> int:
    """Returns how many features encode past actions; they are the last ones of the vector.

    Each past action is its row of controls where the game has an action table, else one hot.
    """
    width = len(game.actions[0]) if game.drives_car else n_actions
    return game.action_history * width
