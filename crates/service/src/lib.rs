//! What every daemon shares: run, log, measure, stop, send a call, answer one
