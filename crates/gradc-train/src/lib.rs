//! Data sets, training loops, metrics and checkpoints for gradc models
