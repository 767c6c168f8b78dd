"""The overrides of a run of seconds, and of a sweep."""

# 2 epochs of 20 steps. Figures would take most of its time: tests of them ask for them.
SHORT = [
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=20",
    "trainer.limit_val_batches=2",
    "trainer.limit_test_batches=2",
    "trainer.accelerator=cpu",
    "trainer.enable_figures=false",
]
DRAWN = "trainer.enable_figures=true"

# A sweep in its own process: workers would be new ones, which import torch before they train.
ALONE = "hydra.launcher.n_jobs=1"
