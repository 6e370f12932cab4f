//! `klagomal certs …`: certificates for tests, good and bad.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::{Failed, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::pki;
use crate::telemetry::Chain;

#[derive(Debug, Subcommand)]
pub(super) enum Certs {
    /// Make a test CA, a certificate for each role, and bad ones.
    Make {
        /// The folder; made when it is missing.
        dir: PathBuf,
    },
    /// Put a certificate on the test CA's revocation list, DIR/revoked.crl.
    Revoke {
        /// The folder that `certs make` wrote.
        dir: PathBuf,
        /// The certificate's name there, without ending.
        name: String,
    },
}

impl Certs {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        let now = SystemClock.now();
        let failed = |error: pki::PkiError| Failed(Chain(&error).to_string());
        match self {
            Self::Make { dir } => {
                pki::make(&dir, now).map_err(failed)?;
                let dir = dir.display();
                writeln!(out, "{dir}/README.md tells what each file is for. For tests only.")?;
            }
            Self::Revoke { dir, name } => {
                pki::revoke(&dir, &name, now).map_err(failed)?;
                writeln!(out, "{name} is on {}/revoked.crl", dir.display())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
