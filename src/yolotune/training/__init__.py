"""One training: what it is told, the Ultralytics trainer that does it, and the thread it runs in. No Ray.

`session.TrainingSession` runs a training epoch by epoch. `trainer.TrialTraining` changes an Ultralytics trainer into
that of a trial; `tasks.register_task` adds the training of another Ultralytics task.
"""
