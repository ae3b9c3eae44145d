//! The worker: asks for a task, runs the app with the enclave, carries the archive, contributes
