"""Networks, and the model directory that carries one with everything needed to use it."""
