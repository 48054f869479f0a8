"""Training: labelled scenes to a model directory."""
