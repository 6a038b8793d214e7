"""One batch of transitions, as tensors on the learner's device."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Transitions gathered from the frame store, with their importance weights.

    Attributes:
        images: uint8 [batch, history, height, width], the observation.
        features: float32 [batch, feature].
        actions: int64 [batch].
        returns: float32 [batch], discounted sum of the n-step rewards.
        discounts: float32 [batch], gamma ** n of the bootstrap; 0 where the episode terminated.
        next_images: uint8 [batch, history, height, width], n steps later.
        next_features: float32 [batch, feature].
        weights: float32 [batch], importance weights.
    """

    images: Tensor
    features: Tensor
    actions: Tensor
    returns: Tensor
    discounts: Tensor
    next_images: Tensor
    next_features: Tensor
    weights: Tensor
