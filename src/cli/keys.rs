//! `klagomal keys …`: a master key, and another one in its place.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::{Failed, Outcome, Settings, serve};
use crate::store::engine;
use crate::store::keys::master::{MasterKey, Source};
use crate::store::keys::{KeyError, Keys, rotate};
use crate::telemetry::Chain;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a master key in a new file that only its owner reads. Without it a sealed store is lost:
    /// keep a copy where neither the store nor its backups are.
    New {
        /// The file.
        file: PathBuf,
    },
    /// Put the keys of a store that no gateway uses under another master key. Nothing else of the
    /// store changes.
    Rotate {
        #[command(flatten)]
        settings: Settings,
        /// The file of the new master key.
        #[arg(long, value_name = "FILE", required_unless_present = "to_command")]
        to_file: Option<PathBuf>,
        /// A command that prints the new master key, and its arguments.
        #[arg(long, value_name = "COMMAND", num_args = 1.., conflicts_with = "to_file")]
        to_command: Option<Vec<String>>,
    },
}

impl KeysCommand {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        match self {
            Self::New { file } => {
                let text = MasterKey::new_text().map_err(|error| failed(&error))?;
                OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&file)
                    .and_then(|mut file| {
                        file.write_all(text.as_bytes()).and_then(|()| file.sync_all())
                    })
                    .map_err(|error| {
                        Failed(format!(
                            "{} cannot be written: {error}; name a new file",
                            file.display()
                        ))
                    })?;
                writeln!(
                    out,
                    "{}: a master key; set it as master_key_file under [store], and keep a copy \
                     where neither the store nor its backups are",
                    file.display()
                )?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Rotate { settings, to_file, to_command } => {
                let to = to_file.map(Source::File).or(to_command.map(Source::Command));
                let to = to.ok_or_else(|| Failed("name the new master key".to_owned()))?;
                turn(&settings, &to, out)
            }
        }
    }
}

fn turn(settings: &Settings, to: &Source, out: &mut dyn Write) -> Outcome {
    let config = serve::read(&settings.settings)?;
    let dir = config.store.dir.join("keys");
    let Some(from) = &config.store.master_key else {
        let why = "no master key is set under [store], so there is nothing to turn from";
        return Err(Failed(why.to_owned()));
    };
    if !Keys::are_in(&dir) {
        let why = format!("there are no keys in {}; the first start makes them", dir.display());
        return Err(Failed(why));
    }
    let old = MasterKey::fetch(from).map_err(|error| failed(&error))?;
    let new = MasterKey::fetch(to).map_err(|error| failed(&error))?;
    let turned = engine::locked(&config.store.dir, || rotate(&dir, &old, &new))
        .map_err(|error| Failed(Chain(&error).to_string()))?;
    let keys = turned.map_err(|error| failed(&error))?;
    let setting = match to {
        Source::File(path) => format!("master_key_file = {:?}", path.display().to_string()),
        Source::Command(command) => format!("master_key_command = {command:?}"),
    };
    writeln!(
        out,
        "{}: {keys} keys are under the new master key\n  Set {setting} under [store] before the next \
         start. Backups made before need the old one: keep it as long as those",
        dir.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

fn failed(error: &KeyError) -> Failed {
    Failed(Chain(error).to_string())
}
