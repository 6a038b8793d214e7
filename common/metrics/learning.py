"""What the learner, the episodes and the greedy evaluations report."""

from common.metrics.metric import Metric, Source

LEARNER = Source(
    "Learner",
    "`metrics.jsonl`, stream `am:{RUN}:metrics`: a row each `learner.metrics_period_learner_steps`",
    (
        Metric("time", "Unix s", "when the row was made"),
        Metric(
            "learner_incarnation",
            "count",
            "how often the learner of this run was started",
            "grows with resumes alone",
            "it grows by itself: the learner crashes; see logs/ray",
        ),
        Metric("learner_steps", "learner steps", "gradient steps so far", "grows"),
        Metric("target_syncs", "copies", "hard copies of the online into the target network"),
        Metric("env_steps", "env steps", "transitions of the fleet that the learner has read"),
        Metric("episodes", "episodes", "finished episodes of the fleet"),
        Metric(
            "learning_rate",
            "1",
            "rate of AdamW",
            "constant 1e-4",
            "a schedule that decays leaves no strength to recover from an error",
        ),
        Metric(
            "epsilon",
            "probability",
            "share of random actions, of the fleet's schedule",
            "1.0 to 0.95 in the first 500 episodes, 0.85 after 1,500, 0.75 after 2,500",
            "below 0.5 before episode 10,000: exploration ends before there is anything to exploit",
        ),
        Metric("beta", "1", "exponent of the importance weights", "grows to 1"),
        Metric("updates_per_s", "learner steps/s", "pace since the row before"),
        Metric(
            "staleness_mean",
            "learner steps",
            "mean age of the weights that drove what is being learned from",
            "up to about the replay's size times learner steps per env step",
            "far more: the replay gets no fresh driving, or actors get no new weights",
        ),
        Metric("staleness_max", "learner steps", "largest such age since the row before"),
        Metric("replay_size", "transitions", "transitions in the learner's frame store"),
        Metric(
            "samples_per_insert",
            "ratio",
            "transitions sampled for each one inserted, from the start size on",
            "`replay.samples_per_insert` within its tolerance",
            "below: the learner is too slow for the actors; above: the actors bring too little",
        ),
        Metric(
            "loss",
            "reward",
            "importance-weighted quantile Huber loss, mean since the row before",
            "falls from about 6 to 3, then to about 1",
            "above 10 after episode 500: it diverges",
        ),
        Metric(
            "q_mean",
            "reward",
            "mean value of the actions in the batches",
            "0 to 20 in the first 500 episodes, 40 after 1,500, then 40 to 50",
            "below -10: values collapse; far above the returns: overestimation",
        ),
        Metric("q_std", "reward", "spread of those values within a batch", "above 0"),
        Metric("q_max", "reward", "largest of those values, mean over batches"),
        Metric(
            "td_error", "reward", "mean of |mean target - mean online|", "falls, then is steady"
        ),
        Metric(
            "grad_norm",
            "1",
            "global norm of the gradients before clipping",
            "well below `learner.grad_clip_norm`",
            "at the clip for long: inputs are not normalised, or the loss diverges",
        ),
    ),
)

EPISODES = Source(
    "Episodes",
    "`episodes.jsonl`, stream `am:{RUN}:episodes`: a row an episode",
    (
        Metric("n", "count", "number of the episode in the fleet, from 1"),
        Metric("actor", "name", "who drove it"),
        Metric("epoch", "count", "which start of the actor, larger for later ones"),
        Metric("episode", "count", "the actor's own number in that epoch, from 0"),
        Metric(
            "return",
            "reward",
            "undiscounted sum of the rewards",
            "noisy 0 to 50, after 500 episodes rising to 100, after 1,500 to 150",
            "falling over 500 episodes: what was learned is being lost",
        ),
        Metric("steps", "env steps", "length"),
        Metric(
            "reason",
            "word",
            "the game's word for its end",
            "some `finish` from episode 1,500 on",
            "`fault:CAUSE`: the game broke; `apexmania doctor --role actor`",
        ),
        Metric("finish_ms", "ms", "lap time, null without a finish", "falls"),
        Metric("progress_m", "m", "way along the reward line", "grows"),
        Metric(
            "param_version", "learner steps", "weights that drove; -1 before the first", "grows"
        ),
        Metric("epsilon", "probability", "this actor's share of random actions"),
        Metric("env_steps", "env steps", "of the fleet when it ended"),
        Metric("ended_at", "Unix s", "when it ended, on the actor's clock"),
        Metric(
            "action_counts",
            "counts",
            "how often each action was taken",
            "no action above 90 % over 100 episodes",
            "one action above 90 %: the policy has collapsed onto it",
        ),
    ),
)

EVALUATIONS = Source(
    "Greedy evaluations",
    "`evaluations.jsonl`, stream `am:{RUN}:evaluations`: a row each `evaluation.every_s`",
    (
        Metric("time", "Unix s", "when it was done"),
        Metric("param_version", "learner steps", "weights that drove"),
        Metric("env_steps", "env steps", "of the fleet when it began"),
        Metric("episodes", "count", "attempts"),
        Metric("finishes", "count", "attempts that crossed the finish line"),
        Metric("finish_rate", "share", "finishes by attempts", "grows towards 1"),
        Metric("lap_times_ms", "ms", "each finished lap"),
        Metric("lap_mean_ms", "ms", "their mean, null without a finish", "falls"),
        Metric("lap_median_ms", "ms", "their median"),
        Metric("lap_best_ms", "ms", "the shortest"),
        Metric("lap_worst_ms", "ms", "the longest"),
        Metric("lap_spread_ms", "ms", "longest less shortest"),
        Metric("lap_std_ms", "ms", "their standard deviation"),
        Metric("best_splits_ms", "ms", "shortest time to each checkpoint"),
        Metric("return_mean", "reward", "mean return", "grows"),
        Metric("return_std", "reward", "its standard deviation"),
        Metric("progress_mean_m", "m", "mean way along the reward line", "grows"),
        Metric("progress_furthest_m", "m", "the furthest"),
        Metric("end_reasons", "counts", "attempts by the game's word for their end"),
        Metric("faults", "counts", "how often the game broke, by cause", "empty", "the game broke"),
        Metric("best_lap", "object", "the best attempt with its actions"),
        Metric("laps", "objects", "every attempt"),
        Metric("is_best", "yes or no", "whether its weights became `checkpoints/best`"),
        Metric("wall_s", "s", "how long it took"),
    ),
)
