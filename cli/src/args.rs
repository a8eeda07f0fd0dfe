//! The command line as typed: flags, help and examples. What the flags mean together with the environment and the file
//! is `config.rs`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::output;

const EXAMPLES: &str = "\
Examples:
  sluice serve
      Kafka on localhost:9092, HTTP on localhost:8082, data in ./sluice-data
  sluice serve --kafka localhost:19092 --http localhost:18082 --data-dir /var/lib/sluice
      Other ports and another folder
  sluice serve --kafka 0.0.0.0:9092=broker.example:9092 --allow-anonymous
      In a container: bound to every address, clients are told broker.example:9092
  sluice serve --print-config > sluice.toml
      Every setting with its present value and meaning, as a file to start from

Each setting can also be given as SLUICE_<NAME> in the environment or in sluice.toml; a flag wins over the environment,
the environment over the file. SLUICE_LOG chooses what is logged (default: info; for example: debug, or
info,sluice_broker::log=debug). All settings are described in docs/configuration.md.";

/// A Kafka-compatible broker with an HTTP gateway, WebAssembly plugins and delayed delivery.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the broker.
    #[command(after_help = EXAMPLES)]
    Serve(ServeArgs),
}

/// The flags of `sluice serve`.
#[derive(Debug, Default, Args)]
pub(crate) struct ServeArgs {
    /// The configuration file [default: ./sluice.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where Kafka clients connect, and after '=' what they are told to connect to; repeatable [default: localhost:9092]
    #[arg(long, value_name = "ADDR:PORT[=HOST:PORT]")]
    pub(crate) kafka: Vec<String>,
    /// Where HTTP clients connect; repeatable [default: localhost:8082]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) http: Vec<String>,
    /// Where everything is kept [default: ./sluice-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Listen beyond this machine although nobody has to log in
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) allow_anonymous: Option<bool>,
    /// Print all settings as they would be used, and stop
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, default_missing_value = "toml", require_equals = true)]
    pub(crate) print_config: Option<PrintFormat>,
}

/// How settings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrintFormat {
    /// A file that `--config` takes.
    Toml,
    /// The reference page: docs/configuration.md.
    Markdown,
}

/// The command, or how the process ends without one: help is no failure, everything else is one line and code 2.
pub(crate) fn read() -> Result<Command, ExitCode> {
    Cli::try_parse().map(|cli| cli.command).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Nothing is left to say to a closed pipe.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            let rendered = error.render().to_string();
            let first = rendered.lines().next().unwrap_or_default();
            let what = first.strip_prefix("error: ").unwrap_or(first);
            output::complain(&format!("{what} (see 'sluice serve --help')"));
            ExitCode::from(2)
        }
    })
}
