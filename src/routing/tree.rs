//! The organisation tree that a routing folder names: read, or kept when it cannot be.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use jiff::Timestamp;

use crate::limits;
use crate::tak::{Finding, Hierarchy, Severity, Source, UnitFiles};
use crate::telemetry::Chain;

/// What is known of an organisation tree that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Units in it.
    pub units: usize,
    /// Of each file: its name, and its `endDate` as written.
    pub dates: Vec<(String, String)>,
    /// Rows of the files that are not in it.
    pub skipped: usize,
}

/// How the organisation tree in use came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeState {
    /// The tree in use.
    pub tree: Option<Tree>,
    /// Why the newest files were not taken; the tree in use is then the one before.
    pub fault: Option<(Timestamp, String)>,
}

impl TreeState {
    /// The state after a reading.
    pub(super) fn then(self, read: Option<Result<Tree, String>>, now: Timestamp) -> Self {
        match read {
            None => Self::default(),
            Some(Ok(tree)) => Self { tree: Some(tree), fault: None },
            Some(Err(why)) => Self { fault: Some((now, why)), ..self },
        }
    }
}

/// Reads the organisation tree. What is wrong with it is told among the findings.
pub(super) fn read(
    folder: &Path,
    files: &[String],
    findings: &mut Vec<Finding>,
) -> Result<(Hierarchy, Tree), String> {
    let mut tell = |severity, file: &str, message, hint: &str| {
        let hint = Some(hint.to_owned());
        findings.push(Finding {
            severity,
            file: file.to_owned(),
            line: 1,
            column: 1,
            message,
            hint,
        });
    };
    let read = || {
        let root = folder.canonicalize().map_err(|error| error.to_string())?;
        let sources: Result<Vec<Source>, String> =
            files.iter().map(|name| unit_file(&root, name)).collect();
        UnitFiles::read(&sources?).map_err(|error| Chain(&error).to_string())
    };
    let found = read().inspect_err(|why| {
        let hint = "without it, addresses are looked for in the tree before it, or in none";
        tell(Severity::Error, files.first().map_or("", |it| it), why.clone(), hint);
    })?;
    if let Some(first) = found.skipped.first() {
        let message =
            format!("{} rows are not in the tree; the first: {first}", found.skipped_count);
        let hint = "a unit needs hsaIdentity and DN, and one place";
        tell(Severity::Warning, files.first().map_or("", |it| it), message, hint);
    }
    let (units, skipped) = (found.hierarchy.units(), found.skipped_count);
    Ok((found.hierarchy, Tree { units, dates: found.dates, skipped }))
}

/// One HSA unit file. A link that leads out of the folder is not followed.
fn unit_file(root: &Path, name: &str) -> Result<Source, String> {
    let unread = |why: &dyn fmt::Display| format!("the HSA unit file {name} cannot be read: {why}");
    let real = root.join(name).canonicalize().map_err(|error| unread(&error))?;
    if !real.starts_with(root) {
        return Err(unread(&"it leads out of the folder"));
    }
    let file = fs::File::open(&real).map_err(|error| unread(&error))?;
    let mut bytes = Vec::new();
    file.take(limits::HSA_FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unread(&error))?;
    if bytes.len() as u64 > limits::HSA_FILE_BYTES_MAX {
        return Err(unread(&format!("it is larger than {} bytes", limits::HSA_FILE_BYTES_MAX)));
    }
    let text = String::from_utf8(bytes).map_err(|error| unread(&error.utf8_error()))?;
    Ok(Source { name: name.to_owned(), text })
}

#[cfg(test)]
mod tests {
    //! What a change of the files does, and what a bad one does not.

    use super::super::*;
    use super::{Path, Severity, Timestamp, TreeState, fs};

    /// In May 2026.
    const NOW: Timestamp = Timestamp::constant(1_777_640_000, 0);

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tak-config");
        fs::create_dir(folder.path().join(Source::CODE_LISTS)).unwrap();
        for part in ["", Source::CODE_LISTS] {
            for entry in fs::read_dir(from.join(part)).unwrap() {
                let entry = entry.unwrap();
                if entry.path().is_file() {
                    let to = folder.path().join(part).join(entry.file_name());
                    fs::copy(entry.path(), to).unwrap();
                }
            }
        }
        folder
    }

    fn units(parent: &str) -> String {
        format!(
            "<HsaUnitsResponse><endDate>2026-05-01</endDate><hsaUnits>\
         <hsaUnit><hsaIdentity>{parent}</hsaIdentity><DN>o=R,c=SE</DN></hsaUnit>\
         <hsaUnit><hsaIdentity>SE0000000000-LEAF</hsaIdentity><DN>ou=L,o=R,c=SE</DN></hsaUnit>\
         </hsaUnits></HsaUnitsResponse>"
        )
    }

    fn climbs(current: &Current) -> Vec<String> {
        let routing = current.get();
        routing.table.hierarchy().ancestors("SE0000000000-LEAF").map(str::to_owned).collect()
    }

    #[test]
    fn an_organisation_tree_is_read_and_a_bad_one_does_not_replace_it() {
        let folder = folder();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("hsa")).unwrap();
        fs::write(path("hsa/units.xml"), units("SE0000000000-A")).unwrap();
        fs::write(path("hierarchy.toml"), "[hierarchy]\nfiles = [\"hsa/units.xml\"]\n").unwrap();
        let (current, findings, _) = Current::open(folder.path(), NOW).unwrap();
        assert!(findings.iter().all(|it| it.severity == Severity::Warning), "{findings:?}");
        assert_eq!(climbs(&current), ["SE0000000000-A", "SE"]);
        let state = current.tree();
        assert_eq!(state.tree.as_ref().unwrap().units, 2);
        assert_eq!(state.tree.unwrap().dates, [("hsa/units.xml".into(), "2026-05-01".into())]);
        assert_eq!(state.fault, None);

        let before = fingerprint(folder.path());
        fs::write(path("hsa/units.xml"), "<HsaUnitsResponse/>").unwrap();
        assert_ne!(fingerprint(folder.path()), before);
        assert!(!current.reload(NOW).unwrap());
        assert_eq!(climbs(&current), ["SE0000000000-A", "SE"]);
        assert_eq!(current.refused(), None);
        let state = current.tree();
        assert_eq!(state.tree.unwrap().units, 2);
        assert!(state.fault.unwrap().1.contains("no endDate"));
        // Whoever checks the folder sees it as an error.
        let reading = read(folder.path(), NOW).unwrap();
        assert!(reading.routing.is_some());
        let errors: Vec<_> =
            reading.findings.iter().filter(|it| it.severity == Severity::Error).collect();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].file, "hsa/units.xml");

        fs::write(path("hsa/units.xml"), units("SE0000000000-B")).unwrap();
        current.reload(NOW).unwrap();
        assert_eq!(climbs(&current), ["SE0000000000-B", "SE"]);
        assert_eq!(current.tree().fault, None);

        fs::remove_file(path("hierarchy.toml")).unwrap();
        assert!(current.reload(NOW).unwrap());
        assert_eq!(climbs(&current), [""; 0]);
        assert_eq!(current.tree(), TreeState::default());
    }

    #[test]
    fn a_gateway_starts_without_a_tree_that_cannot_be_read() {
        let folder = folder();
        fs::write(folder.path().join("h.toml"), "[hierarchy]\nfiles = [\"none.xml\"]\n").unwrap();
        let (current, findings, _) = Current::open(folder.path(), NOW).unwrap();
        assert!(findings.iter().any(|it| it.message.contains("none.xml cannot be read")));
        assert_eq!(climbs(&current), [""; 0]);
        assert!(current.tree().fault.is_some());
    }

    #[test]
    fn a_unit_file_outside_the_folder_is_refused() {
        let folder = folder();
        for name in ["../x.xml", "/etc/passwd", "a/b/c.xml", ".hidden", "a\\\\b", ""] {
            let text = format!("[hierarchy]\nfiles = [\"{name}\"]\n");
            fs::write(folder.path().join("h.toml"), text).unwrap();
            let reading = read(folder.path(), NOW).unwrap();
            assert!(reading.routing.is_none(), "{name}");
        }
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("u.xml"), units("SE0000000000-A")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("u.xml"), folder.path().join("l.xml"))
            .unwrap();
        fs::write(folder.path().join("h.toml"), "[hierarchy]\nfiles = [\"l.xml\"]\n").unwrap();
        let tree = read(folder.path(), NOW).unwrap().tree.unwrap();
        assert!(tree.unwrap_err().contains("leads out of the folder"));
    }
}
