"""`python -m tf_bdecay.sharpness`: measures a model's sharpness from the command line."""
