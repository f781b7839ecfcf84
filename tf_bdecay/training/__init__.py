"""A run from its config to its report: what the training command calls.

`running.train` takes a run from its start, or its newest checkpoint, to its result. `evaluation`
and `export` work on existing weights. Each folder uses those above it in this list:

config/      what a config may say: the table of keys, config files, and the checks
run_folder/  a run on disk: its folder, its starts, its pictures and its weights; no TensorFlow
step/        one update from one batch: `Trainer`
building/    from a config to data, network, loss, optimizer and first weights; nothing runs yet
fitting/     the epochs: `fit`, checkpoints, resuming from them, and the line on the terminal
records/     what a run leaves in its folder: tables, report and pictures
"""
