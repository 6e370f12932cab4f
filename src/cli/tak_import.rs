//! `klagomal tak import` and `klagomal tak export`: routing data from and to other TAKs.

use std::fs;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{Failed, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::limits;
use crate::routing;
use crate::tak::export::Export as Rows;
use crate::tak::import::{self, Imported};
use crate::tak::{Severity, Source, Table, report};
use crate::telemetry::Chain;

/// Take over routes and permissions from another TAK: SokVagvalsInfo v2 answers, a platform's cache
/// file, a publication or an order file as JSON. Writes imported-*.toml and no other file.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// What the other TAK gave out; how each is to be read is seen from what it holds.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The routing folder to write into.
    #[arg(long, value_name = "DIR", default_value = "tak-config")]
    into: PathBuf,
    /// Only tell what would be written.
    #[arg(long)]
    dry_run: bool,
}

/// Give out routes and permissions as another TAK would.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The routing folder.
    #[arg(default_value = "tak-config")]
    dir: PathBuf,
    /// As what.
    #[arg(long, value_enum, default_value_t = Format::Sokvagvalsinfo)]
    format: Format,
    /// The folder for the four answers, or the file for the cache; left out, the cache is printed.
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Where callers reach this gateway: units are exported as routes to it.
    #[arg(long, value_name = "URL")]
    gateway_url: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// The four SokVagvalsInfo v2 answers, a file each.
    Sokvagvalsinfo,
    /// A platform's local cache file.
    Cache,
}

impl Import {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        let files = read_all(&self.files)?;
        let folder = if self.into.is_dir() {
            routing::sources(&self.into).map_err(|error| Failed(Chain(&error).to_string()))?
        } else {
            Vec::new()
        };
        let now = SystemClock.now();
        let imported = import::import(&files, &folder, now)
            .map_err(|error| Failed(format!("nothing is imported: {}", Chain(&error))))?;
        drop(files);
        tell(&imported, out)?;
        let changed: Vec<&Source> =
            imported.files.iter().filter(|it| !folder.contains(it)).collect();
        if let Some(code) = refuse(&folder, &imported, now, out)? {
            return Ok(code);
        }
        if changed.is_empty() {
            writeln!(out, "{} says the same already", self.into.display())?;
        } else if self.dry_run {
            for file in changed {
                writeln!(out, "would write {}", self.into.join(&file.name).display())?;
            }
        } else {
            write_all(&self.into, &changed)?;
            for file in changed {
                writeln!(out, "wrote {}", self.into.join(&file.name).display())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Tells the errors that the folder would have in the imported files; a folder that could be used
/// is not made one that cannot.
fn refuse(
    folder: &[Source],
    imported: &Imported,
    now: jiff::Timestamp,
    out: &mut dyn Write,
) -> Result<Option<ExitCode>, Failed> {
    let is_new = |it: &&Source| !imported.files.iter().any(|new| new.name == it.name);
    let mut whole: Vec<Source> = folder.iter().filter(is_new).cloned().collect();
    whole.extend(imported.files.iter().cloned());
    let mut findings = Table::parse(&whole, now).findings;
    findings.retain(|it| it.severity == Severity::Error);
    if findings.is_empty() {
        return Ok(None);
    }
    report::write_text(&findings, out)?;
    if !Table::parse(folder, now).has_errors() {
        writeln!(out, "nothing is written: mend what it runs into in the folder's other files")?;
        return Ok(Some(ExitCode::FAILURE));
    }
    writeln!(out, "the folder has errors with and without the import")?;
    Ok(None)
}

fn tell(imported: &Imported, out: &mut dyn Write) -> Result<(), Failed> {
    let report = &imported.report;
    for it in &report.left {
        writeln!(out, "{}: not carried over: {}: {}", it.place, it.row, it.why)?;
    }
    for it in &report.windows {
        writeln!(out, "change of route: {it}")?;
    }
    for it in &report.notes {
        writeln!(out, "{it}")?;
    }
    writeln!(
        out,
        "{} routes, {} permissions and {} systems; {} rows are not carried over",
        report.routes,
        report.permissions,
        report.systems,
        report.left.len()
    )?;
    Ok(())
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<Source>, Failed> {
    if paths.len() > limits::TAK_IMPORT_FILES_MAX {
        return Err(Failed(format!(
            "{} files; at most {} at once",
            paths.len(),
            limits::TAK_IMPORT_FILES_MAX
        )));
    }
    let mut room = limits::TAK_IMPORT_BYTES_MAX;
    let mut files = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let unread = |error| Failed(format!("{name} cannot be read: {error}"));
        let file = fs::File::open(path).map_err(unread)?;
        let mut bytes = Vec::new();
        file.take(room + 1).read_to_end(&mut bytes).map_err(unread)?;
        room = room.checked_sub(bytes.len() as u64).ok_or_else(|| {
            let most = limits::TAK_IMPORT_BYTES_MAX;
            Failed(format!("{name} makes the files larger than {most} bytes together"))
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Failed(format!("{name} is not UTF-8 from byte {at} on; convert it first"))
        })?;
        files.push(Source { name, text });
    }
    Ok(files)
}

fn write_all(folder: &Path, files: &[&Source]) -> Result<(), Failed> {
    routing::write_all(folder, files)
        .map_err(|(path, error)| Failed(format!("{} cannot be written: {error}", path.display())))
}

impl Export {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        let reading = routing::read(&self.dir, SystemClock.now())
            .map_err(|error| Failed(Chain(&error).to_string()))?;
        let Some(routing) = reading.routing else {
            let dir = self.dir.display();
            return Err(Failed(format!("{dir} has errors; run `klagomal tak check {dir}`")));
        };
        if let Some(url) = &self.gateway_url {
            let host = url.parse::<http::Uri>().ok().and_then(|it| it.host().map(str::to_owned));
            if host.is_none() || !url.starts_with("http") {
                return Err(Failed(format!("--gateway-url is no URL: \"{url}\"")));
            }
        }
        let rows = Rows::new(&routing.table, self.gateway_url.as_deref());
        match (self.format, self.out) {
            (Format::Cache, None) => {
                out.write_all(rows.cache().as_bytes())?;
                return Ok(ExitCode::SUCCESS);
            }
            (Format::Cache, Some(path)) => {
                let name = path.file_name().map(|it| it.to_string_lossy().into_owned());
                let name = name.ok_or_else(|| Failed("--out names no file".to_owned()))?;
                let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
                let file = Source { name, text: rows.cache() };
                write_all(folder.unwrap_or(Path::new(".")), &[&file])?;
                writeln!(out, "wrote {}", path.display())?;
            }
            (Format::Sokvagvalsinfo, None) => {
                return Err(Failed(
                    "SokVagvalsInfo is four answers: give --out with a folder for them".to_owned(),
                ));
            }
            (Format::Sokvagvalsinfo, Some(folder)) => {
                let named = |name: &str, text| Source { name: name.to_owned(), text };
                let files = [
                    named("hamtaAllaVirtualiseringar.xml", rows.routes()),
                    named("hamtaAllaAnropsBehorigheter.xml", rows.permissions()),
                    named("hamtaAllaTjanstekontrakt.xml", rows.contracts()),
                    named("hamtaAllaTjanstekomponenter.xml", rows.components()),
                ];
                write_all(&folder, &files.iter().collect::<Vec<_>>())?;
                for file in &files {
                    writeln!(out, "wrote {}", folder.join(&file.name).display())?;
                }
            }
        }
        if rows.left_out() > 0 {
            writeln!(
                out,
                "{} addresses of the complaint contracts are not in it: give --gateway-url, where \
                 callers reach this gateway",
                rows.left_out()
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "<a><hamtaAllaVirtualiseringarResponse><virtualiseringsInfo>\
        <receiverId>SE0000000000-A</receiverId><rivProfil>RIVTABP21</rivProfil>\
        <tjansteKontrakt>urn:riv:x:YResponder:1</tjansteKontrakt>\
        <fromTidpunkt>2024-02-01T00:00:00</fromTidpunkt>\
        <tomTidpunkt>2124-02-01T00:00:00</tomTidpunkt><adress>https://e.se/</adress>\
        </virtualiseringsInfo></hamtaAllaVirtualiseringarResponse></a>";

    /// The example folder, as a copy.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tak-config");
        fs::create_dir(folder.path().join("code-lists")).unwrap();
        for part in ["", "code-lists"] {
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

    fn import(into: &Path, text: &str, dry_run: bool) -> (String, Result<ExitCode, String>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let mut out = Vec::new();
        let command =
            Import { files: vec![file.path().to_owned()], into: into.to_owned(), dry_run };
        let done = command.run(&mut out).map_err(|Failed(why)| why);
        (String::from_utf8(out).unwrap(), done)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_import_writes_its_own_files_and_no_other() {
        let folder = folder();
        let before = names(folder.path());
        let (told, done) = import(folder.path(), ROUTE, true);
        assert_eq!(done, Ok(ExitCode::SUCCESS), "{told}");
        assert!(told.contains("would write"), "{told}");
        assert_eq!(names(folder.path()), before);
        let (told, done) = import(folder.path(), ROUTE, false);
        assert_eq!(done, Ok(ExitCode::SUCCESS), "{told}");
        let mut after = before;
        after.push("imported-routes.toml".to_owned());
        after.sort();
        assert_eq!(names(folder.path()), after);
        let (told, _) = import(folder.path(), ROUTE, false);
        assert!(told.contains("says the same already"), "{told}");
    }

    #[test]
    fn a_folder_that_can_be_used_is_not_made_one_that_cannot() {
        let folder = folder();
        let own = "[[route]]\ncontract = \"urn:riv:x:YResponder:1\"\n\
                   logical_address = \"SE0000000000-A\"\naddress = \"https://own.se/\"\n";
        fs::write(folder.path().join("own.toml"), own).unwrap();
        let before = names(folder.path());
        let (told, done) = import(folder.path(), ROUTE, false);
        assert_eq!(done, Ok(ExitCode::FAILURE));
        assert!(told.contains("two routes for urn:riv:x:YResponder:1"), "{told}");
        assert_eq!(names(folder.path()), before);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_made_and_what_it_lacks_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("new");
        let (told, done) = import(&new, ROUTE, false);
        assert_eq!(done, Ok(ExitCode::SUCCESS));
        assert!(told.contains("there is no [platform]"), "{told}");
        assert_eq!(names(&new), ["imported-routes.toml"]);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_nothing_is_written() {
        let folder = folder();
        let before = names(folder.path());
        let (_, done) = import(folder.path(), "<html/>", false);
        assert!(done.unwrap_err().contains("none of the formats"));
        let mut out = Vec::new();
        let into = folder.path().to_owned();
        let command = Import { files: vec!["/none/such".into()], into, dry_run: false };
        assert!(command.run(&mut out).unwrap_err().0.starts_with("/none/such cannot be read"));
        assert_eq!(names(folder.path()), before);
    }

    #[test]
    fn an_export_is_imported_again() {
        let folder = folder();
        let to = tempfile::tempdir().unwrap();
        let export = |format, out, gateway_url| {
            let mut told = Vec::new();
            let dir = folder.path().to_owned();
            let done = Export { dir, format, out, gateway_url }.run(&mut told);
            (String::from_utf8(told).unwrap(), done.map_err(|Failed(why)| why))
        };
        let (told, done) = export(Format::Sokvagvalsinfo, Some(to.path().join("x")), None);
        assert_eq!(done, Ok(ExitCode::SUCCESS));
        assert!(told.contains("give --gateway-url"), "{told}");
        assert_eq!(names(&to.path().join("x")).len(), 4);
        let (cache, done) = export(Format::Cache, None, Some("https://gw.se/".to_owned()));
        assert_eq!(done, Ok(ExitCode::SUCCESS));
        let path = to.path().join("cache.xml");
        let (told, _) = export(Format::Cache, Some(path.clone()), Some("https://gw.se/".into()));
        assert!(told.starts_with("wrote "), "{told}");
        assert_eq!(fs::read_to_string(path).unwrap(), cache);
        for name in ["routes.toml", "permissions.toml"] {
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        let (told, done) = import(folder.path(), &cache, false);
        assert_eq!(done, Ok(ExitCode::SUCCESS), "{told}");
        assert!(told.contains("7 routes of the complaint contracts stand here as units"), "{told}");
        assert!(told.contains("2 routes, 10 permissions and 0 systems; 0 rows"), "{told}");
        let (_, done) = export(Format::Cache, None, Some("gw.se".to_owned()));
        assert!(done.unwrap_err().contains("no URL"));
        let (_, done) = export(Format::Sokvagvalsinfo, None, None);
        assert!(done.unwrap_err().contains("--out"));
    }
}
