//! The scheduler: watches deals, drives tasks, grants them to workers
