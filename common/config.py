"""The configuration tree. ``Config()`` is the proven run, value by value.

Every section is frozen and refuses unknown keys. It is read once, in ``deploy``, and each class gets
the section that it needs. Files, ``--set`` and presets are the business of ``deploy.config_file``.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.config_section import (
    Fraction,
    NonNegative,
    NonNegativeFloat,
    Positive,
    PositiveFloat,
    Section,
)
from common.game_config import GameConfig
from common.health_config import AlertsConfig, HealthConfig
from common.segment import MAX_FRAMES


class NetworkConfig(Section):
    """Layers of the IQN network."""

    conv_channels: tuple[Positive, ...] = (8, 16, 16, 16)
    """Output channels of the 3x3 convolutions (channels)."""
    conv_strides: tuple[Positive, ...] = (2, 2, 2, 2)
    """Stride of each convolution (pixels)."""
    norm: Literal["batch", "group", "none"] = "batch"
    """Normalisation after all convolutions but the last; none is 1.2 times faster."""
    feature_hidden: Positive = 256
    """Width of the two layers that read the car features (units)."""
    action_history_hidden: Positive = 256
    """Width of the layers that read past actions, where game.action_history is on (units)."""
    cosine_dim: Positive = 64
    """Cosines that embed a quantile fraction (count)."""
    hidden: Positive = 128
    """Width of the value and advantage streams (units)."""
    dueling: bool = True
    """Separate value and advantage streams (Wang et al. 2016)."""
    noisy: bool = True
    """Factorised Gaussian noise in the two streams (Fortunato et al. 2018)."""
    noisy_std: PositiveFloat = 0.5
    """Initial noise scale sigma_0 (1)."""

    @model_validator(mode="after")
    def _one_stride_per_convolution(self) -> Self:
        if len(self.conv_channels) != len(self.conv_strides):
            msg = (
                f"conv_channels names {len(self.conv_channels)} layers and conv_strides "
                f"{len(self.conv_strides)}; give both the same length"
            )
            raise ValueError(msg)
        return self


class TargetConfig(Section):
    """How the target network follows the online network."""

    rule: Literal["hard", "soft"] = "hard"
    """hard copies every period; soft mixes a little every learner step."""
    period_learner_steps: Positive = 1500
    """Learner steps between hard copies (learner steps)."""
    mix: Fraction = 0.002
    """Share of the online network in each soft update (1)."""


class LearningRateConfig(Section):
    """Learning rate of AdamW."""

    initial: PositiveFloat = 1e-4
    """Learning rate at the start, and throughout when the schedule is constant (1)."""
    schedule: Literal["constant", "cosine"] = "constant"
    """constant, or cosine annealing over cosine_episodes."""
    final: PositiveFloat = 5e-5
    """Lowest rate of the cosine schedule (1)."""
    cosine_episodes: Positive = 5000
    """Episodes from initial to final of the cosine schedule (episodes)."""


class LearnerConfig(Section):
    """Loss, optimizer and pace of the learner."""

    batch_size: Positive = 32
    """Transitions in a batch (transitions)."""
    discount: Fraction = 0.997
    """Discount factor gamma of one env step (1)."""
    n_step: Annotated[int, Field(gt=0, le=20)] = 1
    """Steps of the n-step return (env steps)."""
    n_tau_train: Positive = 8
    """Quantile fractions of the online and of the target network in the loss (count)."""
    double: bool = True
    """Choose the bootstrap action with the online network (van Hasselt et al. 2016)."""
    kappa: PositiveFloat = 1.0
    """Threshold of the quantile Huber loss (reward units)."""
    munchausen: bool = False
    """Munchausen targets (Vieillard et al. 2020)."""
    learning_rate: LearningRateConfig = LearningRateConfig()
    """Learning rate and its schedule."""
    adam_epsilon: PositiveFloat = 1.5e-4
    """Epsilon of AdamW (1)."""
    weight_decay: NonNegativeFloat = 0.01
    """Decoupled weight decay of matrices (1); biases, norms and noise scales have none."""
    grad_clip_norm: PositiveFloat = 100.0
    """Gradients are scaled down to this global norm (1)."""
    target: TargetConfig = TargetConfig()
    """Target network."""
    replay_start_size: NonNegative = 0
    """Transitions needed before the first learner step (transitions); 0 means one batch."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the forward passes; the loss and the optimizer stay in float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU where there is one."""
    threads: Positive = 1
    """CPU threads of torch in the learner (threads)."""
    weights_period_learner_steps: Positive = 50
    """Learner steps between two broadcasts of weights (learner steps)."""
    metrics_period_learner_steps: Positive = 100
    """Learner steps between two rows of metrics (learner steps)."""

    @property
    def first_sample_size(self) -> int:
        """Transitions that the replay must hold before the first learner step."""
        return max(self.replay_start_size, self.batch_size)


class ReplayConfig(Section):
    """Prioritized replay (Schaul et al. 2016) over the log."""

    capacity: Positive = 100_000
    """Transitions kept (transitions)."""
    prioritized: bool = True
    """Sample by priority; off samples uniformly."""
    alpha: Fraction = 0.6
    """Exponent of the priorities (1)."""
    beta_start: Fraction = 0.4
    """Exponent of the importance weights at the start (1)."""
    beta_increment: NonNegativeFloat = 0.001
    """Growth of beta per learner step, up to 1 (1)."""
    priority: Literal["mean", "pairwise", "loss"] = "mean"
    """Priority: |mean target - mean online|, mean |delta_ij| as the original, or the loss."""
    samples_per_insert: PositiveFloat = 32.0
    """Transitions sampled for each one inserted; 32 is one learner step per env step at batch 32."""
    tolerance: PositiveFloat = 0.1
    """Relative error of samples_per_insert that the limiter allows (1)."""
    snapshot_period_s: PositiveFloat = 5.0
    """Seconds between snapshots of the priorities (s)."""
    max_redis_bytes: Positive = 2_000_000_000
    """Redis refuses writes beyond this (bytes); actors then spool."""


class ExplorationConfig(Section):
    """How actors explore."""

    epsilon_start: Fraction = 1.0
    """Epsilon at the first env step (probability)."""
    epsilon_end: Fraction = 0.01
    """Epsilon when the decay is over (probability)."""
    epsilon_decay_to: Positive = 2_500_000
    """Env step of the whole fleet at which the decay ends (env steps)."""
    epsilon_cutoff: Positive = 25_000_000
    """Env step of the whole fleet after which epsilon is 0 (env steps)."""
    counted_in: Literal["env_steps", "episodes"] = "env_steps"
    """What drives the decay; episodes exists to reproduce the failed run."""
    epsilon_decay_episodes: Positive = 1000
    """Episodes of the decay when it is counted in episodes (episodes)."""
    ladder: NonNegativeFloat = 0.0
    """Spread of epsilon over actors as in Ape-X, epsilon ** (1 + ladder * i / (N - 1)); 0 is off."""
    hold_exponent: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    """Holds each random action for n steps, n drawn with P(n) ~ n ** -this (1); 0 holds for one step."""
    hold_max_steps: Positive = 40
    """Longest hold of a random action (env steps)."""
    n_tau_action: Positive = 8
    """Quantile fractions averaged to choose an action (count)."""
    risk: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.0
    """Wang distortion of those fractions: negative is cautious (1)."""

    @model_validator(mode="after")
    def _holds_have_a_distribution(self) -> Self:
        if 0.0 < self.hold_exponent <= 1.0:
            msg = (
                f"hold_exponent {self.hold_exponent} is no distribution: the sum of n ** -exponent "
                "diverges up to 1; use 0 for single steps or more than 1, for instance 2"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _cutoff_after_decay(self) -> Self:
        if self.epsilon_cutoff < self.epsilon_decay_to:
            msg = (
                f"epsilon_cutoff ({self.epsilon_cutoff}) lies before epsilon_decay_to "
                f"({self.epsilon_decay_to}); raise it, for instance to {self.epsilon_decay_to}"
            )
            raise ValueError(msg)
        return self


class ActorsConfig(Section):
    """The fleet."""

    count: Positive = 1
    """Ray actors that train starts on this cluster (actors)."""
    wait_for_learner: bool = True
    """Simulated actors wait when the limiter says that the learner is behind; a real game never does."""
    refresh: Literal["episode", "steps"] = "episode"
    """When an actor takes new weights."""
    refresh_steps: Positive = 200
    """Env steps between refreshes when refresh is steps (env steps)."""
    spool_max_bytes: Positive = 256_000_000
    """Disk that an actor may fill while Redis is away (bytes); then whole oldest episodes go."""
    heartbeat_s: PositiveFloat = 2.0
    """Seconds between heartbeats (s)."""
    nice: Annotated[int, Field(ge=0, le=19)] = 10
    """Niceness of simulated actors, so that they never take the learner's core; real time has none."""


class CheckpointConfig(Section):
    """Checkpoints of the learner."""

    every_episodes: Positive = 10
    """Episodes of the fleet between checkpoints (episodes)."""
    min_period_s: NonNegativeFloat = 10.0
    """Shortest time between checkpoints (s)."""
    keep_last: Positive = 3
    """Checkpoints kept besides the best (checkpoints)."""
    keep_best: bool = True
    """Keep the checkpoint with the best greedy evaluation."""


class EvaluationConfig(Section):
    """Greedy, noise-free evaluation while training."""

    every_s: NonNegativeFloat = 120.0
    """Seconds between evaluations (s); 0 turns them off."""
    episodes: Positive = 20
    """Attempts of one evaluation (episodes)."""
    start_jitter: Fraction = 0.1
    """Randomness of sim's start pose in evaluation; with 0 every greedy lap would be the same one."""
    stop_at_finish_rate: Fraction | None = None
    """End the run when an evaluation finishes this share of its laps; none never does."""


class WandbConfig(Section):
    """Weights & Biases, in a side process that can never stop the learner."""

    mode: Literal["offline", "online", "disabled"] = "offline"
    """offline writes files for a later wandb sync; online needs WANDB_API_KEY."""
    project: str = "apexmania"
    """Project name."""


class RunConfig(Section):
    """Length of the run."""

    max_env_steps: Positive = 10_000_000
    """Env steps of the fleet after which the run ends (env steps)."""
    max_minutes: NonNegativeFloat = 0.0
    """Minutes of wall time after which the run ends (min); 0 never does."""


class Config(Section):
    """The whole configuration of one run."""

    seed: NonNegative = 0
    """Seed of everything that this run randomises."""
    game: GameConfig = GameConfig()
    """Game."""
    network: NetworkConfig = NetworkConfig()
    """Network."""
    learner: LearnerConfig = LearnerConfig()
    """Learner."""
    replay: ReplayConfig = ReplayConfig()
    """Replay."""
    exploration: ExplorationConfig = ExplorationConfig()
    """Exploration."""
    actors: ActorsConfig = ActorsConfig()
    """Actors."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """Checkpoints."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Evaluation."""
    wandb: WandbConfig = WandbConfig()
    """Weights & Biases."""
    health: HealthConfig = HealthConfig()
    """Health checks."""
    alerts: AlertsConfig = AlertsConfig()
    """Alerts."""
    run: RunConfig = RunConfig()
    """Run."""

    @model_validator(mode="after")
    def _start_fits_in_replay(self) -> Self:
        needed = self.learner.first_sample_size
        if needed > self.replay.capacity:
            msg = (
                f"the learner would never start: it needs {needed} transitions and replay.capacity "
                f"is {self.replay.capacity}; raise replay.capacity or lower learner.replay_start_size"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _a_transition_fits_in_a_segment(self) -> Self:
        longest = MAX_FRAMES - self.learner.n_step
        if self.game.history > longest:
            msg = (
                f"no transition fits in a segment of {MAX_FRAMES} frames: game.history is "
                f"{self.game.history} and learner.n_step {self.learner.n_step}; lower one of them, "
                f"for instance --set game.history={longest}"
            )
            raise ValueError(msg)
        return self
