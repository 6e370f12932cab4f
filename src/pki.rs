//! Test certificates: a certificate authority of our own, what it issues, and its revocation lists.
//!
//! Everything here is for trying things out. The keys of the authorities lie beside what they sign,
//! so whoever can read the folder can be anybody: never trust these files in production.

mod issue;
mod kinds;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use x509_parser::prelude::FromDer as _;

use issue::Authority;
pub use kinds::{Kind, kinds};

/// The key that signs the root's certificate and revocation list.
pub const ROOT_KEY: &str = "ca.key";
/// The intermediate that signs every function certificate, and its key.
pub const FUNCTION_CA: &str = "function-ca";
const FUNCTION_CA_NAME: &str = "Testfunktions CA";
/// The revocation lists with nobody on them.
pub const EMPTY_CRL: &str = "empty.crl";
/// The revocation lists that [`revoke`] adds to.
pub const REVOKED_CRL: &str = "revoked.crl";

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// File names in the folder, in order.
    pub files: Vec<String>,
}

/// Why certificates could not be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("cannot {act} {}", path.display())]
    File {
        /// What was being done.
        act: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The folder holds an authority already; its certificates would all become worthless.
    #[error("{} already holds a test authority ({ROOT_KEY}); choose an empty folder", dir.display())]
    Taken {
        /// The folder.
        dir: PathBuf,
    },
    /// The certificate library refused.
    #[error("cannot sign {what}")]
    Sign {
        /// What was to be signed.
        what: String,
        /// What the library said.
        #[source]
        source: rcgen::Error,
    },
    /// A file that was made here has since become something else.
    #[error("{what} is not what `certs make` wrote: {found}")]
    Unreadable {
        /// Which file.
        what: String,
        /// What is wrong with it.
        found: String,
    },
    /// The certificate is not one that this authority can take back.
    #[error("{name} was not issued by the function CA of this folder")]
    NotOurs {
        /// Its name.
        name: String,
    },
}

/// File name to content: everything that [`make`] writes.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Makes the authority, every certificate of [`kinds()`] and the revocation lists, and writes them to
/// `dir` (created when missing), keys readable by the owner only.
///
/// # Errors
/// When `dir` already holds an authority, or a file cannot be written.
pub fn make(dir: &Path, now: Timestamp) -> Result<Made, PkiError> {
    if dir.join(ROOT_KEY).exists() {
        return Err(PkiError::Taken { dir: dir.to_owned() });
    }
    let files = make_in_memory(now)?;
    fs::create_dir_all(dir).map_err(|source| PkiError::File {
        act: "make the folder",
        path: dir.to_owned(),
        source,
    })?;
    for (name, content) in &files {
        write(&dir.join(name), content)?;
    }
    Ok(Made { files: files.into_keys().collect() })
}

/// [`make`] without a disk: the files and what they would hold.
///
/// # Errors
/// When the certificate library refuses to sign.
pub fn make_in_memory(now: Timestamp) -> Result<Files, PkiError> {
    let root = Authority::root("Testrot CA", now)?;
    let function = Authority::intermediate(FUNCTION_CA_NAME, &root, now)?;
    let persons = Authority::root("Testperson CA", now)?;
    let wrong = Authority::root("Fel rot CA", now)?;
    let mut files = Files::new();
    files.insert("ca.crt".to_owned(), root.certificate().into_bytes());
    files.insert(ROOT_KEY.to_owned(), root.key().into_bytes());
    files.insert(format!("{FUNCTION_CA}.crt"), function.certificate().into_bytes());
    files.insert(format!("{FUNCTION_CA}.key"), function.key().into_bytes());
    files.insert("person-ca.crt".to_owned(), persons.certificate().into_bytes());
    files.insert("wrong-ca.crt".to_owned(), wrong.certificate().into_bytes());

    let mut revoked = Vec::new();
    for kind in kinds() {
        let leaf = match kind.signer {
            kinds::Signer::Function => function.issue(&kind, now)?,
            kinds::Signer::Person => persons.issue(&kind, now)?,
            kinds::Signer::Wrong => wrong.issue(&kind, now)?,
            kinds::Signer::Itself => issue::self_signed(&kind, now)?,
        };
        if kind.revoked {
            revoked.push(leaf.serial.clone());
        }
        let mut chain = leaf.certificate;
        if kind.signer == kinds::Signer::Function {
            chain.push_str(&function.certificate());
        }
        files.insert(format!("{}.crt", kind.name), chain.into_bytes());
        files.insert(format!("{}.key", kind.name), leaf.key.into_bytes());
    }
    let of_root = root.revocation_list(&[], 1, now)?;
    let nobody = function.revocation_list(&[], 1, now)?;
    let some = function.revocation_list(&revoked, 2, now)?;
    files.insert(EMPTY_CRL.to_owned(), format!("{of_root}{nobody}").into_bytes());
    files.insert(REVOKED_CRL.to_owned(), format!("{of_root}{some}").into_bytes());
    files.insert("README.md".to_owned(), kinds::readme().into_bytes());
    Ok(files)
}

/// Puts the certificate `name` of `dir` on `revoked.crl` (once: a second time changes nothing but
/// the list's number), replacing the file in one step.
///
/// # Errors
/// When `name` is not there, was signed by somebody else, or a file cannot be read or written.
pub fn revoke(dir: &Path, name: &str, now: Timestamp) -> Result<(), PkiError> {
    let issuer = format!("{FUNCTION_CA}.crt");
    let ca = first_block(&issuer, &read(&dir.join(&issuer))?, "CERTIFICATE")?;
    let key = text(&format!("{FUNCTION_CA}.key"), read(&dir.join(format!("{FUNCTION_CA}.key")))?)?;
    let function = Authority::kept(FUNCTION_CA_NAME, &ca, &key, now)?;

    let file = format!("{name}.crt");
    let leaf = first_block(&file, &read(&dir.join(&file))?, "CERTIFICATE")?;
    let serial = serial_issued_by(&leaf, &ca, name)?;

    let lists = blocks(REVOKED_CRL, &read(&dir.join(REVOKED_CRL))?, "X509 CRL")?;
    let (mut out, mut serials, mut number) = (String::new(), vec![serial.clone()], 1);
    for der in &lists {
        let (_, list) = x509_parser::revocation_list::CertificateRevocationList::from_der(der)
            .map_err(|error| unreadable(REVOKED_CRL, &error))?;
        if list.issuer().as_raw() != subject(&ca, &issuer)? {
            out.push_str(&issue::pem("X509 CRL", der));
            continue;
        }
        number = list.crl_number().and_then(|n| u64::try_from(n).ok()).unwrap_or(number) + 1;
        let old = list.iter_revoked_certificates().map(|one| one.raw_serial().to_vec());
        serials.extend(old.filter(|old| *old != serial));
    }
    out.push_str(&function.revocation_list(&serials, number, now)?);
    let new = dir.join(format!("{REVOKED_CRL}.new"));
    write(&new, out.as_bytes())?;
    fs::rename(&new, dir.join(REVOKED_CRL)).map_err(|source| PkiError::File {
        act: "replace",
        path: dir.join(REVOKED_CRL),
        source,
    })
}

fn serial_issued_by(leaf: &[u8], ca: &[u8], name: &str) -> Result<Vec<u8>, PkiError> {
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf)
        .map_err(|error| unreadable(&format!("{name}.crt"), &error))?;
    if leaf.issuer().as_raw() != subject(ca, FUNCTION_CA)? {
        return Err(PkiError::NotOurs { name: name.to_owned() });
    }
    Ok(leaf.raw_serial().to_vec())
}

fn subject(certificate: &[u8], what: &str) -> Result<Vec<u8>, PkiError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| unreadable(what, &error))?;
    Ok(parsed.subject().as_raw().to_vec())
}

fn first_block(what: &str, file: &[u8], label: &str) -> Result<Vec<u8>, PkiError> {
    blocks(what, file, label)?.into_iter().next().ok_or_else(|| PkiError::Unreadable {
        what: what.to_owned(),
        found: format!("no {label} block"),
    })
}

fn blocks(what: &str, file: &[u8], label: &str) -> Result<Vec<Vec<u8>>, PkiError> {
    let mut found = Vec::new();
    for block in x509_parser::pem::Pem::iter_from_buffer(file) {
        let block = block.map_err(|error| unreadable(what, &error))?;
        if block.label == label {
            found.push(block.contents);
        }
    }
    Ok(found)
}

fn unreadable(what: &str, error: &dyn std::fmt::Display) -> PkiError {
    PkiError::Unreadable { what: what.to_owned(), found: error.to_string() }
}

fn text(what: &str, content: Vec<u8>) -> Result<String, PkiError> {
    String::from_utf8(content).map_err(|error| unreadable(what, &error))
}

fn read(path: &Path) -> Result<Vec<u8>, PkiError> {
    fs::read(path).map_err(|source| PkiError::File { act: "read", path: path.to_owned(), source })
}

fn write(path: &Path, content: &[u8]) -> Result<(), PkiError> {
    let failed = |source| PkiError::File { act: "write", path: path.to_owned(), source };
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if path.extension().is_some_and(|extension| extension == "key") {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(content).map_err(failed)
}
