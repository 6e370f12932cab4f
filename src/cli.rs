//! The commands and their exit codes: 0 done, 1 something is wrong, 2 the command line is.

mod admin_door;
mod backup;
mod certs;
mod demo;
mod keys;
mod send;
mod serve;
mod simulate;
mod tak;
mod tak_import;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A RIV TA gateway for complaints on Swedish health care (1177 Synpunkter och klagomål).
#[derive(Debug, Parser)]
#[command(name = "klagomal", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See the whole way on this machine: two cases from 1177, their replies in the inbox.
    Demo(demo::DemoCommand),
    /// Run the gateway.
    Serve(serve::Serve),
    /// Print an example settings file: every key with its default and what it is for.
    Settings,
    /// Check the routing configuration.
    #[command(subcommand)]
    Tak(tak::Tak),
    /// Work with the cases of the built-in store, through the admin door of a running gateway.
    #[command(subcommand)]
    Cases(admin_door::CasesCommand),
    /// See and decide about outgoing messages, through the admin door of a running gateway.
    #[command(subcommand)]
    Outbox(admin_door::OutboxCommand),
    /// Read certificates, revocation lists and routing again, and show what a running gateway is.
    #[command(subcommand)]
    Gateway(admin_door::GatewayCommand),
    /// Check that nothing in a store or a copy of it has been changed.
    #[command(subcommand)]
    Audit(backup::Audit),
    /// Make a backup of a running store, through the admin door of its gateway.
    Backup(backup::Backup),
    /// Make a store of a backup, in a folder of its own.
    Restore(backup::Restore),
    /// Make a master key, or put a store under another one.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Make test certificates, or take one back.
    #[command(subcommand)]
    Certs(certs::Certs),
    /// Play the other side: the 1177 platform, a region's own system, or 1177 Inkorg.
    #[command(subcommand)]
    Simulate(simulate::Simulate),
    /// Send a message from a file, and show what is answered.
    Send(send::Send),
}

/// Why a command came to nothing. The text is whole: what, found, expected, next step.
#[derive(Debug)]
pub(crate) struct Failed(String);

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self(format!("the output cannot be written: {error}"))
    }
}

type Outcome = Result<ExitCode, Failed>;

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    crate::tls::install_provider();
    let mut out = io::stdout().lock();
    match run(arguments.command, &mut out) {
        Ok(code) => code,
        Err(Failed(why)) => {
            // Nothing is left to tell it to when standard error is gone.
            let told = writeln!(io::stderr(), "klagomal: {why}");
            if told.is_err() { ExitCode::from(3) } else { ExitCode::FAILURE }
        }
    }
}

fn run(command: Command, out: &mut dyn Write) -> Outcome {
    match command {
        Command::Demo(demo) => demo.run(out),
        Command::Serve(serve) => serve.run(out),
        Command::Settings => {
            out.write_all(crate::config::example().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Tak(tak) => tak.run(out),
        Command::Cases(cases) => cases.run(out),
        Command::Outbox(outbox) => outbox.run(out),
        Command::Gateway(gateway) => gateway.run(out),
        Command::Audit(audit) => audit.run(out),
        Command::Backup(backup) => backup.run(out),
        Command::Restore(restore) => restore.run(out),
        Command::Keys(keys) => keys.run(out),
        Command::Certs(certs) => certs.run(out),
        Command::Simulate(simulate) => simulate.run(out),
        Command::Send(send) => send.run(out),
    }
}

/// Runs `work` on a runtime of its own.
fn block_on<F: Future>(work: F) -> Result<F::Output, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed(format!("the runtime cannot start: {error}")))?;
    Ok(runtime.block_on(work))
}

/// The settings file of a command.
#[derive(Debug, clap::Args)]
struct Settings {
    /// The settings file.
    #[arg(long, value_name = "FILE", default_value = "klagomal.toml")]
    settings: PathBuf,
}
