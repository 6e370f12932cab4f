//! The rules of the repository that no compiler checks. Each test tells everything it finds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "a test that panics has failed, which is its job"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use code::Code;

#[path = "tidy/code.rs"]
mod code;

/// Outside crates, and the parts that may name them. Replacing one is then a change to few files.
const HOMES: &[(&str, &[&str])] = &[
    ("aws_lc_rs", &["oidc", "staff", "store"]),
    ("axum", &["admin", "staff"]),
    ("chrono", &["oidc"]),
    ("clap", &["cli"]),
    ("epaint_default_fonts", &["export"]),
    ("form_urlencoded", &["staff"]),
    ("encoding_rs", &["xml", "soap"]),
    ("hashbrown", &["tak"]),
    // `producer` reads from hyper's errors how a connection ended.
    ("hyper", &["listen", "gateway", "staff", "simulators", "producer", "outbound"]),
    ("hyper_util", &["listen", "gateway", "simulators", "outbound"]),
    ("ipnet", &["config", "gateway"]),
    ("krilla", &["export"]),
    ("lettre", &["mail"]),
    ("maud", &["staff"]),
    ("memchr", &["xml", "soap", "tak", "store"]),
    ("multer", &["staff"]),
    ("notify", &["tls", "app"]),
    ("openidconnect", &["oidc"]),
    ("opentelemetry", &["spans"]),
    ("opentelemetry_http", &["spans"]),
    ("opentelemetry_otlp", &["spans"]),
    ("opentelemetry_sdk", &["spans"]),
    ("prometheus_client", &["telemetry"]),
    ("quick_xml", &["xml", "soap", "export"]),
    ("rcgen", &["pki"]),
    ("reqwest", &["producer", "admin", "spans", "oidc"]),
    // `producer` takes a client configuration, and tells from rustls' errors who refused whom.
    ("rustls", &["tls", "listen", "pki", "producer", "outbound"]),
    ("sled", &["store"]),
    ("strsim", &["tak", "config"]),
    ("time", &["pki"]),
    ("tokio_rustls", &["tls", "listen", "pki", "outbound"]),
    ("tower_service", &["staff"]),
    ("ttf_parser", &["export"]),
    ("toml", &["tak", "config", "complaint"]),
    ("x509_parser", &["tls", "listen", "pki"]),
    ("xml", &["rivta"]),
    ("yaserde", &["rivta"]),
    ("yaserde_derive", &["rivta"]),
    ("zip", &["export"]),
];

/// Parts that decide and never act.
const PURE: &[&str] = &["id", "limits", "complaint", "rivta", "soap", "xml", "tak"];

/// What acting looks like: the beginnings of paths.
const ACTS: &[&[&str]] = &[
    &["tokio"],
    &["std", "env"],
    &["std", "fs"],
    // An address is a value; a socket is not.
    &["std", "net", "TcpListener"],
    &["std", "net", "TcpStream"],
    &["std", "net", "ToSocketAddrs"],
    &["std", "net", "UdpSocket"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
];

/// Doors do not know each other.
const DOORS: &[&str] = &["admin", "gateway", "staff"];

/// Ends of names that say nothing of the job. (A handler is somebody here: the one who handles.)
const EMPTY_ENDS: &[&str] = &["Manager", "Helper", "Util", "Processor", "Impl", "Data"];

const FILE_LINES_MAX: usize = 600;

/// Notes to oneself. Written in two halves, so that this file has none.
const LEFTOVERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("HA", "CK")];

/// Crates that must not come in, by any road.
const UNWELCOME: &[(&str, &str)] = &[
    ("native-tls", "TLS is rustls"),
    ("openssl-sys", "TLS is rustls"),
    ("ring", "there is one crypto provider, aws-lc-rs"),
    ("rustls-pemfile", "it is archived; rustls' own types read PEM"),
];

/// The top level is fixed. Names that begin with a dot, and what a build leaves, are beside it.
const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "certs-example",
    "fixtures",
    "schemas",
    "src",
    "tak-config",
    "target",
    "tests",
];

/// Person numbers that belong to nobody: from the Swedish Tax Agency's list of test numbers, and
/// three that are in every textbook.
const NOBODYS: &[&str] = &[
    "189001019802",
    "189002099811",
    "189103179801",
    "189506299818",
    "190001019801",
    "190006129803",
    "190704019801",
    "190108219817",
    "199001012385",
    "200002292399",
    "200306062381",
    "200607092384",
    "200802122390",
    "202402292383",
    "202503312387",
    "202504182391",
    "202508242381",
    "202510022383",
    "201701012393",
    "202601612381",
    "191401682396",
    "191212121212",
    "196408233234",
    "198112189876",
];

#[test]
fn a_part_uses_only_parts_declared_above_it() {
    let parts = parts();
    let place = |part: &str| parts.iter().position(|known| known == part);
    let mut found = Vec::new();
    for file in sources("src") {
        let here = place(&file.part);
        for (line, path) in file.code.paths() {
            let told = |text: String| format!("{}:{line}: {text}", file.path);
            let [root, used, ..] = path.as_slice() else { continue };
            match (root.as_str(), file.part.as_str()) {
                ("klagomal", "main") if used != "cli" => {
                    found.push(told(format!("the program uses {used}; it knows only cli")));
                }
                ("super", _) if file.depth < supers(&path) => {
                    found.push(told("say `crate::`, so that the part shows".to_owned()));
                }
                ("crate", part) => match (place(used), here) {
                    (Some(there), Some(here)) if there > here => {
                        found.push(told(format!("{part} uses {used}, declared below it")));
                    }
                    (Some(_), _) if DOORS.contains(&part) && DOORS.contains(&used.as_str()) => {
                        if part != used {
                            found.push(told(format!("{part} may not know {used}")));
                        }
                    }
                    (Some(_), Some(_)) => (),
                    (None, _) => found.push(told(format!("no part is called `{used}`"))),
                    (_, None) => found.push(told(format!("{part} is no part of lib.rs"))),
                },
                _ => (),
            }
        }
    }
    report(&found);
}

#[test]
fn an_outside_crate_is_named_only_in_its_homes() {
    let mut found = Vec::new();
    for file in sources("src") {
        let local = file.code.local_names();
        for (line, path) in file.code.paths() {
            let Some((name, homes)) = HOMES.iter().find(|(name, _)| *name == path[0]) else {
                continue;
            };
            if !local.contains(*name) && !homes.contains(&file.part.as_str()) {
                let homes = homes.join(", ");
                found.push(format!("{}:{line}: {name} lives in {homes}", file.path));
            }
        }
    }
    report(&found);
}

#[test]
fn parts_that_decide_do_not_act() {
    let mut found = Vec::new();
    for file in sources("src").iter().filter(|file| PURE.contains(&file.part.as_str())) {
        for (line, path) in file.code.paths() {
            let acts = |act: &&&[&str]| {
                path.iter().zip(**act).filter(|(a, b)| a == b).count() == act.len()
            };
            if let Some(act) = ACTS.iter().find(acts) {
                let act = act.join("::");
                found.push(format!(
                    "{}:{line}: {act} in {}, which only decides",
                    file.path, file.part
                ));
            }
        }
        for (line, word) in file.code.words() {
            if ["async", "await"].contains(&word) {
                found.push(format!(
                    "{}:{line}: {word} in {}, which only decides",
                    file.path, file.part
                ));
            }
        }
    }
    report(&found);
}

#[test]
fn a_file_says_its_job_and_keeps_to_it() {
    let mut found = Vec::new();
    for file in sources("src").iter().chain(&sources("tests")) {
        if !file.text.starts_with("//! ") {
            found.push(format!("{}:1: begins without a `//! ` line that says its job", file.path));
        }
        let lines = file.text.lines().take(file.code.lines).count();
        if lines > FILE_LINES_MAX && file.path.starts_with("src") && !file.is_tests() {
            found.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", file.path));
        }
        for (line, name) in file.code.declared(&["struct", "enum", "trait", "type"]) {
            let end = EMPTY_ENDS.iter().find(|end| name.ends_with(**end) && name != **end);
            if let Some(end) = end.filter(|_| file.path.starts_with("src")) {
                found.push(format!("{}:{line}: {name}: {end} says nothing of its job", file.path));
            }
        }
    }
    report(&found);
}

#[test]
fn what_is_public_says_what_it_is_for() {
    let kinds = ["fn", "struct", "enum", "trait", "type", "const", "static", "async"];
    let mut found = Vec::new();
    for file in sources("src").iter().filter(|file| !file.is_tests()) {
        let lines: Vec<&str> = file.text.lines().take(file.code.lines).map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let kind = line.strip_prefix("pub ").and_then(|rest| rest.split(' ').next());
            if !kind.is_some_and(|kind| kinds.contains(&kind)) {
                continue;
            }
            if !above(&lines[..at]).is_some_and(|line| line.starts_with("///")) {
                found.push(format!("{}:{}: public, and says nothing of itself", file.path, at + 1));
            }
        }
    }
    report(&found);
}

/// The last of `lines` that is neither an attribute nor part of one.
fn above<'l>(lines: &[&'l str]) -> Option<&'l str> {
    let mut inside = false;
    lines.iter().rev().copied().find(|line| {
        let opens = line.starts_with("#[");
        let part = inside || opens || line.ends_with(")]");
        inside = part && !opens;
        !part
    })
}

#[test]
fn every_file_is_declared() {
    let manifest = read("Cargo.toml");
    let mut found = Vec::new();
    let files: Vec<_> = sources("src").into_iter().chain(sources("tests")).collect();
    for file in &files {
        let path = Path::new(&file.path);
        let (folder, stem) = (path.parent().unwrap(), path.file_stem().unwrap().to_str().unwrap());
        let own = stem == "main" && root().join(folder).join("Cargo.toml").exists();
        if stem == "lib" || own || manifest.contains(&format!("path = \"{}\"", file.path)) {
            continue;
        }
        let parents = match folder.to_str().unwrap() {
            "src" => vec!["src/lib.rs".to_owned()],
            folder => vec![format!("{folder}.rs"), format!("{folder}/main.rs")],
        };
        let declared = files.iter().filter(|it| parents.contains(&it.path)).any(|parent| {
            let whole = Code::of(&parent.text, false);
            whole.declared(&["mod"]).iter().any(|(_, name)| *name == stem)
        });
        if !declared {
            found.push(format!("{}: no `mod {stem};` in {}", file.path, parents.join(" or ")));
        }
    }
    report(&found);
}

#[test]
fn nothing_is_left_to_do() {
    let mut found = Vec::new();
    for (path, text) in texts() {
        for (at, line) in text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric());
            if let Some(word) = words.find(|word| LEFTOVERS.contains(word)) {
                found.push(format!("{path}:{}: {word}: do it or say it elsewhere", at + 1));
            }
        }
    }
    report(&found);
}

#[test]
fn no_unwelcome_crate_came_in() {
    // Not Cargo.lock: it also names crates that no feature in use asks for.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--offline", "--edges", "all", "--prefix", "none"]);
    let output = cargo.args(["--format", "{p}"]).current_dir(root()).output().unwrap();
    let built = String::from_utf8(output.stdout).unwrap();
    let names: Vec<_> = built.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"rustls"), "{built}{}", String::from_utf8_lossy(&output.stderr));
    let came = UNWELCOME.iter().filter(|(name, _)| names.contains(name));
    report(
        &came.map(|(name, why)| format!("Cargo.toml: {name} came in: {why}")).collect::<Vec<_>>(),
    );
}

#[test]
fn the_top_level_holds_what_it_should() {
    let mut found = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.starts_with('.') && !TOP.contains(&name.as_str()) {
            found.push(format!("{name}: has no place at the top level"));
        }
    }
    report(&found);
}

#[test]
fn nobody_real_is_in_the_repository() {
    let mut found = Vec::new();
    for (path, text) in texts() {
        for (at, line) in text.lines().enumerate() {
            let person = person_numbers(line);
            for number in person.iter().filter(|number| !NOBODYS.contains(&number.as_str())) {
                let month = &number[..6];
                found.push(format!("{path}:{}: {month}…: a person number not on the list", at + 1));
            }
            if !path.starts_with("src") && has_foreign_hsa_id(line) {
                found.push(format!("{path}:{}: an HSA-id other than SE0000000000-…", at + 1));
            }
        }
    }
    report(&found);
}

#[test]
fn the_readme_names_every_command() {
    let Ok(readme) = fs::read_to_string(root().join("README.md")) else { return };
    let mut found = Vec::new();
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(command) = open.pop() {
        for name in commands(&command) {
            let mut inner = command.clone();
            inner.push(name);
            let whole = format!("klagomal {}", inner.join(" "));
            if !readme.contains(&whole) {
                found.push(format!("README.md: does not name `{whole}`"));
            }
            open.push(inner);
        }
    }
    report(&found);
    assert!(!commands(&[]).is_empty(), "`klagomal --help` lists no commands");
}

/// The commands under `command`, as its help lists them.
fn commands(command: &[String]) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_klagomal")).args(command).arg("--help").output();
    let help = String::from_utf8(output.unwrap().stdout).unwrap();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.trim().is_empty());
    // A line that goes on from the one above is indented further.
    let names = listed.filter_map(|line| {
        line.strip_prefix("  ")?.split_whitespace().next().filter(|_| !line.starts_with("   "))
    });
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Twelve digits (or eight, a hyphen and four) that could be somebody: a day, and a right check
/// digit.
fn person_numbers(line: &str) -> Vec<String> {
    let words = line.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '+'));
    let digits = words.map(|word| match word.as_bytes() {
        [_, _, _, _, _, _, _, _, b'-' | b'+', _, _, _, _] => word.replace(['-', '+'], ""),
        _ => word.to_owned(),
    });
    let could_be = |word: &String| {
        let all = word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_digit());
        all && matches!(&word[..2], "18" | "19" | "20")
            && (1..=12).contains(&word[4..6].parse::<u8>().unwrap())
            && (1..=31).contains(&(word[6..8].parse::<u8>().unwrap() % 60))
            && klagomal::id::luhn(&word[2..])
    };
    digits.filter(could_be).collect()
}

fn has_foreign_hsa_id(line: &str) -> bool {
    let upper = line.to_ascii_uppercase();
    let words = upper.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter_map(|word| word.strip_prefix("SE")?.split_once('-')).any(|(number, _)| {
        number.len() >= 10
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && number != "0000000000"
    })
}

#[test]
fn the_rules_see_what_they_should() {
    let text = "//! x\nuse crate::{xml::{self, Reader as R}, tls};\nuse tokio::time;\nfn a<'a>() { time::now(); ::yaserde::b(); let c = '\"'; \"rustls::d\"; r#\"sled::\"#; x.crate_::<T>() } // hyper::e\n#[cfg(test)]\nmod tests {\n use rcgen::X;\n}\n";
    let code = Code::of(text, true);
    let paths: Vec<_> =
        code.paths().iter().map(|(line, path)| format!("{line} {}", path.join("::"))).collect();
    let expected = [
        "2 crate::xml",
        "2 crate::xml::Reader",
        "2 crate::tls",
        "3 tokio::time",
        "4 time::now",
        "4 yaserde::b",
    ];
    assert_eq!(paths, expected);
    assert_eq!(code.local_names(), ["R", "time", "tls", "xml"].map(str::to_owned).into());
    assert_eq!(code.lines, 4);
    assert_eq!(
        person_numbers("<a>202402292383</a> 20240229-2383, 202402292384 20240229238300"),
        ["202402292383"; 2]
    );
    assert!(
        has_foreign_hsa_id(&["x='se", "1111111111-1'"].concat())
            && !has_foreign_hsa_id("SE0000000000-VC1 SE-1")
    );
    assert_eq!(above(&["/// a", "#[b(", "    c", ")]"]), Some("/// a"));
}

/// A file of Rust.
struct Source {
    /// From the root, with `/`.
    path: String,
    /// The first name under its folder: the part that it belongs to.
    part: String,
    /// How many `super` lead from it to the crate, less one.
    depth: usize,
    text: String,
    code: Code,
}

impl Source {
    fn is_tests(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }
}

fn supers(path: &[String]) -> usize {
    path.iter().take_while(|name| *name == "super").count()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The parts, in the order that lib.rs declares them.
fn parts() -> Vec<String> {
    let code = Code::of(&read("src/lib.rs"), true);
    code.declared(&["mod"]).into_iter().map(|(_, name)| name.to_owned()).collect()
}

fn sources(folder: &str) -> Vec<Source> {
    let files = files(folder).into_iter().filter(|path| path.ends_with(".rs"));
    let sources: Vec<_> = files
        .map(|path| {
            let text = read(&path);
            let mut names = path.split('/').skip(1);
            let part = names.next().unwrap_or_default().trim_end_matches(".rs").to_owned();
            let depth = names.count();
            let mut source = Source { depth, part, code: Code::of(&text, true), text, path };
            if source.path.starts_with("src") && source.is_tests() {
                source.code.tokens.clear();
            }
            source
        })
        .collect();
    assert!(!sources.is_empty(), "no Rust under {folder}");
    sources
}

/// The files under `folder`, from the root, in order; nothing that a build or a tool leaves.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !name.starts_with('.') && path != root().join("target") {
                    folders.push(path);
                }
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every file that is text, with its text.
fn texts() -> Vec<(String, String)> {
    let all = files("").into_iter();
    all.filter_map(|path| Some((path.clone(), fs::read_to_string(root().join(path)).ok()?)))
        .collect()
}

#[track_caller]
fn report(found: &[String]) {
    assert!(found.is_empty(), "{} to put right:\n{}", found.len(), found.join("\n"));
}
