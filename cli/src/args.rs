//! The command line: flags, help and examples. `config.rs` joins the flags with environment and file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use sluice_broker::config::BrokerConfig;
use sluice_broker::log::dump::MESSAGE_BYTES_DEFAULT;
use toml::Value;

use crate::output;
use crate::settings::{SETTINGS, defaults};

const EXAMPLES: &str = "\
Examples:
  sluice serve
      Kafka on localhost:9092, HTTP on localhost:8082, data in ./sluice-data
  sluice serve --kafka localhost:19092 --http localhost:18082 --data-dir /var/lib/sluice
      Other ports and another folder
  sluice serve --kafka 0.0.0.0:9092=broker.example:9092 --allow-anonymous
      In a container: bound to every address, clients connect to broker.example:9092
  sluice serve --print-config > sluice.toml
      Every setting with its present value and meaning, as a file to start from

Each setting can also be given as SLUICE_<NAME> in the environment or in sluice.toml; a flag wins over the environment,
the environment over the file. SLUICE_LOG chooses what is logged (default: info; for example: debug, or
info,sluice_broker::log=debug). All settings are described in docs/configuration.md.";

const CHECK_EXAMPLES: &str = "\
Examples:
  sluice log check
      All partitions in ./sluice-data
  sluice log check --data-dir /var/lib/sluice orders-0
      One partition of another folder

Ends with code 1 when something is damaged. Bytes at the end of a log that were never synced are no damage.";

const REPAIR_EXAMPLES: &str = "\
Examples:
  sluice log repair --data-dir /var/lib/sluice
      What is damaged, and the choices; changes nothing
  sluice log repair --data-dir /var/lib/sluice orders-0 --apply=skip
      Take the damage out of the log and keep what stands behind it: offsets stay as they are, the lost ones stay empty
  sluice log repair --data-dir /var/lib/sluice orders-0 --apply=cut
      End the log where the damage begins: later offsets will be given to other records

The broker must be stopped. What is taken out is kept in <segment>.cut-<N> beside the log. Copy the folder first if you
can: a disk that has damaged one file may not be done.";

const DUMP_LOG_EXAMPLES: &str = "\
Examples:
  sluice dump-log sluice-data/orders-0/00000000000000000000.log
      A line for each record batch, and whether its checksum is right
  sluice dump-log --print-data-log sluice-data/orders-0/*.log | less
      Every record with its key and value
  sluice dump-log --files sluice-data/orders-0/00000000000000000000.index,sluice-data/orders-0/00000000000000000000.timeindex
      Every entry of the indexes; what disagrees with the log is printed at the end, on standard error

The lines are those of Kafka's own tool, and so are the flags; it reads files of Kafka brokers as well. Nothing is changed,
a running broker does not mind.";

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
    /// Show what the files of a partition hold, as Kafka's kafka-dump-log prints it
    #[command(after_help = DUMP_LOG_EXAMPLES)]
    DumpLog(DumpLogArgs),
    /// Look for damage in the logs of a stopped broker, and repair it
    #[command(subcommand)]
    Log(LogCommand),
}

/// What to do with the logs of a stopped broker.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Read every record batch and verify its checksum; changes nothing
    #[command(after_help = CHECK_EXAMPLES)]
    Check(LogArgs),
    /// Show what is damaged and what can be done about it, or do it
    #[command(after_help = REPAIR_EXAMPLES)]
    Repair(RepairArgs),
}

/// The flags of `sluice serve`.
#[derive(Debug, Default, Args)]
pub(crate) struct ServeArgs {
    /// The configuration file [default: ./sluice.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    #[arg(long, value_name = "ADDR:PORT[=HOST:PORT]", help = with_default(
        "Where Kafka clients connect, and after '=' the address that is advertised to them; repeatable", "--kafka"
    ))]
    pub(crate) kafka: Vec<String>,
    #[arg(long, value_name = "ADDR:PORT", help = with_default("Where HTTP clients connect; repeatable", "--http"))]
    pub(crate) http: Vec<String>,
    #[arg(long, value_name = "DIR", help = with_default("Where everything is kept", "--data-dir"))]
    pub(crate) data_dir: Option<PathBuf>,
    /// Listen on addresses that other machines can reach, without authentication
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) allow_anonymous: Option<bool>,
    /// Print all settings as they would be used, and stop
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, default_missing_value = "toml", require_equals = true)]
    pub(crate) print_config: Option<PrintFormat>,
}

/// Which logs.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Where the broker keeps everything
    #[arg(long, value_name = "DIR", env = "SLUICE_DATA_DIR", default_value_os_t = BrokerConfig::default().data_dir)]
    pub(crate) data_dir: PathBuf,
    /// Only this partition
    #[arg(value_name = "TOPIC-PARTITION")]
    pub(crate) partition: Option<String>,
}

/// The flags of `sluice log repair`.
#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Do it
    #[arg(long, value_name = "CHOICE", require_equals = true)]
    pub(crate) apply: Option<ApplyChoice>,
}

/// What is done about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ApplyChoice {
    /// End the log where the damage begins.
    Cut,
    /// Take out only the damage.
    Skip,
}

/// The flags of `sluice dump-log`: Kafka's, and file names as plain arguments.
#[derive(Debug, Default, Args)]
#[allow(clippy::struct_excessive_bools, reason = "one a flag, as typed")]
pub(crate) struct DumpLogArgs {
    /// Files named .log, .index, .timeindex, .txnindex or .snapshot
    #[arg(value_name = "FILE", required_unless_present = "list")]
    pub(crate) files: Vec<PathBuf>,
    /// The same files, separated by commas, as Kafka's tool takes them
    #[arg(id = "list", long = "files", value_name = "FILE,FILE", value_delimiter = ',')]
    pub(crate) list: Vec<PathBuf>,
    /// Every record with its key and value
    #[arg(long)]
    pub(crate) print_data_log: bool,
    /// Every record, without key and value
    #[arg(long)]
    pub(crate) deep_iteration: bool,
    /// With --print-data-log: only keys and values
    #[arg(long)]
    pub(crate) skip_record_metadata: bool,
    /// Check the entries of indexes against the log without printing them
    #[arg(long)]
    pub(crate) verify_index_only: bool,
    /// Only the check by which Kafka decides whether an index is rebuilt
    #[arg(long)]
    pub(crate) index_sanity_check: bool,
    /// The largest batch that an index may point to
    #[arg(long, value_name = "BYTES", default_value_t = MESSAGE_BYTES_DEFAULT, value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) max_message_size: i32,
    /// Look only at the batches in the first BYTES of each .log
    #[arg(long, value_name = "BYTES", default_value_t = i32::MAX, hide_default_value = true, value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) max_bytes: i32,
}

/// How settings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrintFormat {
    /// A file that `--config` takes.
    Toml,
    /// The reference page: docs/configuration.md.
    Markdown,
}

/// The command, or the exit code without one: 0 for help, else 2 with one line that says why.
pub(crate) fn read() -> Result<Command, ExitCode> {
    Cli::try_parse().map(|cli| cli.command).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // The reader has closed the pipe.
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
            output::complain(&format!("{what} (see '{} --help')", meant()));
            ExitCode::from(2)
        }
    })
}

/// A flag's help with the default of its setting.
fn with_default(help: &str, flag: &str) -> String {
    let setting = SETTINGS.iter().find(|setting| setting.flag == Some(flag));
    let default = match setting.and_then(|setting| setting.default(&defaults())) {
        Some(Value::String(text)) => text,
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        _ => return help.to_owned(),
    };
    format!("{help} [default: {default}]")
}

/// The command that was meant, for a hint.
fn meant() -> String {
    let (mut known, mut meant) = (Cli::command(), "sluice".to_owned());
    for word in std::env::args().skip(1) {
        let Some(deeper) = known.find_subcommand(&word).cloned() else { break };
        known = deeper;
        meant = format!("{meant} {word}");
    }
    meant
}
