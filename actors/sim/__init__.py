"""The simulated game: one car, one track builder, one camera, and the Gymnasium environment around them."""
