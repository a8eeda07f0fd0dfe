//! The `sluice` binary: reads the command line, runs one command, turns its failure into one line and an exit code
//! (2: an error that the user can correct, before anything was served; 1: a failure while it ran). Decides nothing else.

mod args;
mod commands;
mod config;
mod listener;
mod output;
mod reference;
mod settings;

use std::fmt::Display;
use std::process::ExitCode;

use args::{Command, LogCommand};

fn main() -> ExitCode {
    match args::read() {
        Ok(Command::Serve(args)) => ended(commands::serve::run(&args), |failure| failure.exit_code()),
        Ok(Command::DumpLog(args)) => ended(commands::dump_log::run(args), |_| 1),
        Ok(Command::Log(LogCommand::Check(args))) => ended(commands::log::check(&args), |failure| failure.exit_code()),
        Ok(Command::Log(LogCommand::Repair(args))) => {
            ended(commands::log::repair(&args), |failure| failure.exit_code())
        }
        Err(ended) => ended,
    }
}

fn ended<E: Display>(result: Result<(), E>, code: impl Fn(&E) -> u8) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.to_string());
            ExitCode::from(code(&failure))
        }
    }
}
