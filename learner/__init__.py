"""The learner: frame store, loss, learner step, checkpoints and weights broadcast."""
