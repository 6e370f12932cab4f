//! The code lists: read from versioned files, looked up by code and code system, never rewritten.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::message::{Classification, Code};

/// The list of huvudproblem (top level) and delproblem (their children).
pub const PROBLEMS: &str = "huvud-och-delproblem";
/// The list of verksamhetsområden.
pub const OPERATIONAL_AREAS: &str = "verksamhetsomrade";
/// The list of standard replies (delsvar), each with its wording.
pub const STANDARD_REPLIES: &str = "standardsvar";

/// One version of one code list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeList {
    /// The list's own name, the same in every version.
    pub name: String,
    /// Numbers with dots, as `1.0`.
    pub version: String,
    /// OID or URN that says which list a code on the wire is from.
    pub code_system: String,
    /// In the order of the file.
    pub codes: Vec<ListedCode>,
}

/// One code of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedCode {
    /// As on the wire.
    pub code: String,
    /// For people, in Swedish.
    pub text: String,
    /// The top-level code that it belongs to; absent at the top level.
    pub parent: Option<String>,
    /// What the complainant reads, where the code stands for a text of its own.
    pub wording: Option<String>,
    /// How well the code is known.
    pub provenance: Provenance,
}

/// How well a code is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// Code and text were read in a public source.
    Sourced,
    /// No source was found that shows it.
    Unverified,
    /// Made for this program.
    Own,
}

/// Something wrong in a code list file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {text}")]
pub struct CodeListFault {
    /// The file, as handed in.
    pub file: String,
    /// From 1; 0 where it concerns no line of a file.
    pub line: usize,
    /// What was found, what was expected.
    pub text: String,
}

/// A version of a list, as a case keeps it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ListVersion {
    /// The list's name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The list versions that a classification was checked against: kept with the case, so that a new
/// list never gives an old case another meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodedWith {
    /// Of main and sub problems.
    pub problems: ListVersion,
    /// Of the verksamhetsområde.
    pub operational_area: ListVersion,
}

/// Why a classification is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct ClassificationFault {
    /// The field's path, as `classification/mainProblem`; `[n]` (from 1) where there are several.
    pub field: String,
    /// The rule, in Swedish, for the sender.
    pub rule: String,
}

/// Every code list, in every version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodeLists {
    lists: BTreeMap<String, BTreeMap<Vec<u32>, CodeList>>,
}

impl CodeLists {
    /// Reads the lists from `files` (name, TOML text).
    ///
    /// # Errors
    /// Every fault of every file at once: what is no TOML, unknown and missing keys, duplicate codes,
    /// unknown parents, two files with one list and version, two lists with one code system, and a
    /// missing list that a classification is checked against.
    pub fn parse(files: &[(String, String)]) -> Result<Self, Vec<CodeListFault>> {
        let mut lists = Self::default();
        let mut faults = Vec::new();
        for (file, text) in files {
            let mut page = Page { file, text, faults: Vec::new() };
            if let Some((key, list)) = page.read() {
                lists.add(key, list, &mut page);
            }
            faults.append(&mut page.faults);
        }
        for name in [PROBLEMS, OPERATIONAL_AREAS] {
            if faults.is_empty() && lists.current(name).is_none() {
                faults.push(CodeListFault {
                    file: format!("{name}-*.toml"),
                    line: 0,
                    text: format!("the code list \"{name}\" is missing; add a file with that name"),
                });
            }
        }
        if faults.is_empty() { Ok(lists) } else { Err(faults) }
    }

    fn add(&mut self, key: Vec<u32>, list: CodeList, page: &mut Page<'_>) {
        if let Some(other) =
            self.all().find(|it| it.name != list.name && it.code_system == list.code_system)
        {
            let text = format!(
                "code_system \"{}\" is already that of the list \"{}\"; a code must tell its list",
                list.code_system, other.name
            );
            page.fault(None, text);
            return;
        }
        let versions = self.lists.entry(list.name.clone()).or_default();
        if let Some(other) = versions.get(&key) {
            let text = format!(
                "the list \"{}\" version {} is given by two files; a changed list needs a new version",
                other.name, other.version
            );
            page.fault(None, text);
            return;
        }
        versions.insert(key, list);
    }

    /// Every list in every version, by name and then from the oldest version.
    pub fn all(&self) -> impl Iterator<Item = &CodeList> {
        self.lists.values().flat_map(BTreeMap::values)
    }

    /// The highest version of the list.
    #[must_use]
    pub fn current(&self, name: &str) -> Option<&CodeList> {
        self.lists.get(name)?.values().next_back()
    }

    /// A code of the highest version of the list, in wire form and as it is listed.
    #[must_use]
    pub fn coded(&self, name: &str, code: &str) -> Option<(Code, &ListedCode)> {
        let list = self.current(name)?;
        let listed = list.code(code.trim())?;
        Some((list.coded(listed), listed))
    }

    /// One version of a list.
    #[must_use]
    pub fn get(&self, name: &str, version: &str) -> Option<&CodeList> {
        self.lists.get(name)?.get(&version_key(version)?)
    }

    /// The listed code that `code` means, and its list: by code and code system, in the version that
    /// it names or else in the highest. `None` where it has no code or code system, or is not listed.
    #[must_use]
    pub fn find(&self, code: &Code) -> Option<(&CodeList, &ListedCode)> {
        let list = self.list_of(code)?;
        let listed = list.code(trimmed(code.code.as_ref())?)?;
        Some((list, listed))
    }

    fn list_of(&self, code: &Code) -> Option<&CodeList> {
        let system = trimmed(code.code_system.as_ref())?;
        let mut of_system = self
            .lists
            .values()
            .flat_map(BTreeMap::iter)
            .filter(|(_, list)| list.code_system == system);
        match trimmed(code.code_system_version.as_ref()) {
            None => of_system.next_back().map(|(_, list)| list),
            Some(version) => {
                let wanted = version_key(version)?;
                of_system.find(|(key, _)| **key == wanted).map(|(_, list)| list)
            }
        }
    }

    /// What to show people for `code`: the list's text, else the sender's own, else the bare code.
    #[must_use]
    pub fn label<'a>(&'a self, code: &'a Code) -> &'a str {
        if let Some((_, listed)) = self.find(code) {
            return &listed.text;
        }
        [&code.display_name, &code.original_text, &code.code]
            .into_iter()
            .find_map(|text| trimmed(text.as_ref()))
            .unwrap_or("kod saknas")
    }

    /// Checks the handler's classification against the lists and says which versions it was checked
    /// with.
    ///
    /// # Errors
    /// The first field that breaks a rule: a main problem that is no top-level code, a sub problem
    /// that belongs to none of the given main problems, a verksamhetsområde that is not listed, or
    /// problems from two versions of the list.
    pub fn check_classification(
        &self,
        classification: &Classification,
    ) -> Result<CodedWith, ClassificationFault> {
        let mut mains = BTreeSet::new();
        let mut problems: Option<ListVersion> = None;
        for (at, code) in classification.main_problems.iter().enumerate() {
            let field = field("mainProblem", at, classification.main_problems.len());
            let (list, listed) = self.listed(code, PROBLEMS, &field)?;
            if listed.parent.is_some() {
                let rule = "ska vara ett huvudproblem; koden är ett delproblem";
                return Err(ClassificationFault { field, rule: rule.to_owned() });
            }
            same_version(&mut problems, list, &field)?;
            mains.insert(listed.code.as_str());
        }
        for (at, code) in classification.sub_problems.iter().enumerate() {
            let field = field("subProblem", at, classification.sub_problems.len());
            let (list, listed) = self.listed(code, PROBLEMS, &field)?;
            if !listed.parent.as_deref().is_some_and(|parent| mains.contains(parent)) {
                let rule = "ska vara ett delproblem till något av de angivna huvudproblemen";
                return Err(ClassificationFault { field, rule: rule.to_owned() });
            }
            same_version(&mut problems, list, &field)?;
        }
        let problems = problems.ok_or_else(|| ClassificationFault {
            field: "classification/mainProblem".to_owned(),
            rule: "minst ett huvudproblem ska anges".to_owned(),
        })?;
        let field = "classification/operationalArea";
        let (list, _) = self.listed(&classification.operational_area, OPERATIONAL_AREAS, field)?;
        Ok(CodedWith { problems, operational_area: list.list_version() })
    }

    fn listed(
        &self,
        code: &Code,
        name: &str,
        field: &str,
    ) -> Result<(&CodeList, &ListedCode), ClassificationFault> {
        self.find(code).filter(|(list, _)| list.name == name).ok_or_else(|| {
            let system = self.current(name).map_or("", |list| list.code_system.as_str());
            ClassificationFault {
                field: field.to_owned(),
                rule: format!(
                    "ska vara en kod ur kodlistan {name} (code, codeSystem {system} och, om den \
                     anges, en känd codeSystemVersion)"
                ),
            }
        })
    }
}

impl CodeList {
    /// The listed code, compared exactly.
    #[must_use]
    pub fn code(&self, code: &str) -> Option<&ListedCode> {
        self.codes.iter().find(|it| it.code == code)
    }

    /// All codes, in the order of the file.
    pub fn all(&self) -> impl Iterator<Item = &ListedCode> {
        self.codes.iter()
    }

    /// The codes without parent, in the order of the file.
    pub fn top_level(&self) -> impl Iterator<Item = &ListedCode> {
        self.codes.iter().filter(|it| it.parent.is_none())
    }

    /// The codes that belong to `parent`, in the order of the file.
    pub fn children<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = &'a ListedCode> {
        self.codes.iter().filter(move |it| it.parent.as_deref() == Some(parent))
    }

    /// Name and version, as a case keeps them.
    #[must_use]
    pub fn list_version(&self) -> ListVersion {
        ListVersion { name: self.name.clone(), version: self.version.clone() }
    }

    /// The listed code in wire form, with everything that a receiver needs to read it.
    #[must_use]
    pub fn coded(&self, listed: &ListedCode) -> Code {
        Code {
            code: Some(listed.code.clone()),
            code_system: Some(self.code_system.clone()),
            code_system_name: Some(self.name.clone()),
            code_system_version: Some(self.version.clone()),
            display_name: Some(listed.text.clone()),
            original_text: None,
        }
    }
}

fn field(name: &str, at: usize, of: usize) -> String {
    if of > 1 {
        format!("classification/{name}[{}]", at + 1)
    } else {
        format!("classification/{name}")
    }
}

fn same_version(
    problems: &mut Option<ListVersion>,
    list: &CodeList,
    field: &str,
) -> Result<(), ClassificationFault> {
    let this = list.list_version();
    if problems.get_or_insert_with(|| this.clone()) == &this {
        return Ok(());
    }
    Err(ClassificationFault {
        field: field.to_owned(),
        rule: "alla problem ska vara ur samma version av kodlistan".to_owned(),
    })
}

fn trimmed(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// `1.10` as numbers, so that it comes after `1.9`.
fn version_key(version: &str) -> Option<Vec<u32>> {
    version
        .split('.')
        .map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            if digits { part.parse().ok() } else { None }
        })
        .collect()
}

type Value<'a> = Spanned<DeValue<'a>>;

/// One file while it is being read.
struct Page<'a> {
    file: &'a str,
    text: &'a str,
    faults: Vec<CodeListFault>,
}

/// What a `[[code]]` may have.
const OPTIONAL: &[&str] = &["parent", "wording"];

/// The texts of a table by key, and where each stands.
type Texts = BTreeMap<String, (String, Range<usize>)>;

impl<'a> Page<'a> {
    fn fault(&mut self, at: Option<Range<usize>>, text: String) {
        let line = at.map_or(1, |at| {
            self.text.bytes().take(at.start).filter(|byte| *byte == b'\n').count() + 1
        });
        self.faults.push(CodeListFault { file: self.file.to_owned(), line, text });
    }

    /// The list and its version as numbers; `None` where a fault was found.
    fn read(&mut self) -> Option<(Vec<u32>, CodeList)> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.fault(error.span(), format!("not TOML: {}", error.message()));
        }
        if !self.faults.is_empty() {
            return None;
        }
        let codes = self.codes(table.get_ref());
        let mut texts =
            self.texts(table.get_ref(), 0..0, &["name", "version", "code_system"], &[], &["code"])?;
        let (name, _) = texts.remove("name")?;
        let (version, at) = texts.remove("version")?;
        let (code_system, _) = texts.remove("code_system")?;
        let key = version_key(&version);
        if key.is_none() {
            let text = format!("version \"{version}\" is not numbers with dots, as \"1.0\"");
            self.fault(Some(at), text);
        }
        self.faults.is_empty().then_some((key?, CodeList { name, version, code_system, codes }))
    }

    fn codes(&mut self, table: &DeTable<'a>) -> Vec<ListedCode> {
        let entries = match table.get("code").map(Spanned::get_ref) {
            Some(DeValue::Array(entries)) if !entries.is_empty() => entries,
            _ => {
                self.fault(None, "no codes: give at least one [[code]]".to_owned());
                return Vec::new();
            }
        };
        let mut codes: Vec<ListedCode> = Vec::new();
        let mut parents = Vec::new();
        for entry in entries.iter() {
            let Some((code, parent_at)) = self.code(entry) else { continue };
            if codes.iter().any(|other| other.code == code.code) {
                self.fault(Some(entry.span()), format!("code \"{}\" is given twice", code.code));
                continue;
            }
            if let (Some(parent), Some(at)) = (code.parent.clone(), parent_at) {
                parents.push((parent, at));
            }
            codes.push(code);
        }
        for (parent, at) in parents {
            let top_level = codes.iter().any(|it| it.code == parent && it.parent.is_none());
            if !top_level {
                let text = format!("parent \"{parent}\" is no top-level code of this list");
                self.fault(Some(at), text);
            }
        }
        codes
    }

    /// One `[[code]]`, and where its parent stands.
    fn code(&mut self, entry: &Value<'a>) -> Option<(ListedCode, Option<Range<usize>>)> {
        let DeValue::Table(table) = entry.get_ref() else {
            self.fault(Some(entry.span()), "code must be a table, [[code]]".to_owned());
            return None;
        };
        let mut texts =
            self.texts(table, entry.span(), &["code", "text", "provenance"], OPTIONAL, &[])?;
        let (provenance, at) = texts.remove("provenance")?;
        let provenance = match provenance.as_str() {
            "sourced" => Provenance::Sourced,
            "unverified" => Provenance::Unverified,
            "own" => Provenance::Own,
            other => {
                let text = format!(
                    "provenance \"{other}\" is not one of \"sourced\", \"unverified\" and \"own\""
                );
                self.fault(Some(at), text);
                return None;
            }
        };
        let (code, _) = texts.remove("code")?;
        let (text, _) = texts.remove("text")?;
        let (parent, parent_at) = texts.remove("parent").unzip();
        let wording = texts.remove("wording").map(|(wording, _)| wording);
        Some((ListedCode { code, text, parent, wording, provenance }, parent_at))
    }

    /// The texts of `table`: each of `required` and possibly `optional`; keys in `other` are left to
    /// somebody else, every further key is a fault. `None` where something is wrong.
    fn texts(
        &mut self,
        table: &DeTable<'a>,
        at: Range<usize>,
        required: &[&str],
        optional: &[&str],
        other: &[&str],
    ) -> Option<Texts> {
        let before = self.faults.len();
        let mut texts = Texts::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            if other.contains(&name) {
                continue;
            }
            if !required.contains(&name) && !optional.contains(&name) {
                let known = [required, optional, other].concat().join(", ");
                self.fault(Some(key.span()), format!("unknown key \"{name}\"; known: {known}"));
                continue;
            }
            match value.get_ref().as_str() {
                Some(text) if !text.trim().is_empty() && text.trim() == text => {
                    texts.insert(name.to_owned(), (text.to_owned(), value.span()));
                }
                Some(_) => {
                    let text = format!(
                        "{name} must be a text that neither is empty nor begins or ends with white space"
                    );
                    self.fault(Some(value.span()), text);
                }
                None => self.fault(Some(value.span()), format!("{name} must be a text in quotes")),
            }
        }
        for name in required {
            if !table.contains_key(*name) {
                self.fault(Some(at.clone()), format!("{name} is missing"));
            }
        }
        (self.faults.len() == before).then_some(texts)
    }
}

#[cfg(test)]
mod tests;
