//! Reads the command line, runs one command, turns its end into an exit code.

fn main() {}
