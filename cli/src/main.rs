//! The `sluice` binary: reads the command line, runs one command, turns its failure into one line and an exit code
//! (2: what the user can mend, before anything was served; 1: what went wrong while running). Decides nothing else.

mod args;
mod commands;
mod config;
mod listener;
mod output;
mod reference;
mod settings;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let result = match args::read() {
        Ok(Command::Serve(args)) => commands::serve::run(&args),
        Err(ended) => return ended,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}
