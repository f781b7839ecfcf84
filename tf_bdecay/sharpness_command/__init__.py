"""`python -m tf_bdecay.sharpness`: a model's sharpness from the command line."""
