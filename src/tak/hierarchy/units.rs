//! Reads HSA unit files: which unit lies under which, from their distinguished names.
//!
//! Local names only, as the national platform reads them: each `hsaUnit` with `hsaIdentity` and `DN`,
//! and the file's `endDate`. The first file is the master; later ones replace units by DN. The parent
//! of a unit is the nearest level above it that is a unit; levels that are none are passed over.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Source;
use super::super::finding::Lines;
use super::{Hierarchy, ROOT};
use crate::id::HsaId;
use crate::limits;
use crate::xml::XmlError;
use crate::xml::rows::{self, Row};

/// A tree, and what there is to say of the files that it was read from.
#[derive(Debug)]
pub struct UnitFiles {
    /// The tree.
    pub hierarchy: Hierarchy,
    /// Of each file: its name, and its `endDate` as written.
    pub dates: Vec<(String, String)>,
    /// Rows that are not in the tree and why, the first [`limits::HSA_SKIPPED_SHOWN_MAX`].
    pub skipped: Vec<String>,
    /// How many rows are not in the tree.
    pub skipped_count: usize,
}

/// Why unit files give no tree.
#[derive(Debug, thiserror::Error)]
pub enum HierarchyError {
    /// Not XML that is read here.
    #[error("the HSA unit file {file} cannot be read")]
    Xml {
        /// Which file.
        file: String,
        /// What is wrong, and where.
        #[source]
        cause: XmlError,
    },
    /// Without it nobody knows how old the file is.
    #[error("the HSA unit file {file} has no endDate")]
    NoEndDate {
        /// Which file.
        file: String,
    },
    /// No unit at all is a failure at the source.
    #[error("the HSA unit file {file} has no hsaUnit at all")]
    NoUnits {
        /// Which file.
        file: String,
    },
    /// Which of the two is meant cannot be known.
    #[error("{file}:{line}: the DN \"{dn}\" is there twice")]
    Twice {
        /// Which file.
        file: String,
        /// The line of the second.
        line: u32,
        /// As written.
        dn: String,
    },
    /// More than the bound.
    #[error("{file} makes it more than {} units", limits::HSA_UNITS_MAX)]
    Units {
        /// Which file.
        file: String,
    },
}

enum Stop {
    Xml(XmlError),
    Tree(HierarchyError),
}

impl From<XmlError> for Stop {
    fn from(error: XmlError) -> Self {
        Self::Xml(error)
    }
}

impl UnitFiles {
    /// Reads the files, the master first.
    pub fn read(files: &[Source]) -> Result<Self, HierarchyError> {
        let mut tree = Tree::default();
        for file in files {
            tree.file(file)?;
        }
        Ok(tree.finish())
    }
}

#[derive(Default)]
struct Tree {
    /// By distinguished name as it is compared.
    units: BTreeMap<String, HsaId>,
    dates: Vec<(String, String)>,
    skipped: Vec<String>,
    skipped_count: usize,
}

impl Tree {
    fn file(&mut self, file: &Source) -> Result<(), HierarchyError> {
        let text = file.text.strip_prefix('\u{FEFF}').unwrap_or(&file.text);
        let name = || file.name.clone();
        let lines = Lines::of(0, text);
        let mut seen = BTreeSet::new();
        let mut date = None;
        let mut rows = 0usize;
        rows::each::<Stop>(text, &["hsaUnit", "endDate"], &mut |row| {
            if row.name == "endDate" {
                date = Some(row.text.trim().to_owned()).filter(|it| !it.is_empty());
                return Ok(());
            }
            rows += 1;
            let line = lines.place(row.at).line();
            match unit(&row) {
                Err(why) => self.skip(format!("{}:{line}: {why}", file.name)),
                Ok((id, dn)) => {
                    if !seen.insert(dn.clone()) {
                        let dn = row.text_of("DN").unwrap_or_default().trim().to_owned();
                        return Err(Stop::Tree(HierarchyError::Twice { file: name(), line, dn }));
                    }
                    self.units.insert(dn, id);
                }
            }
            if self.units.len() > limits::HSA_UNITS_MAX {
                return Err(Stop::Tree(HierarchyError::Units { file: name() }));
            }
            Ok(())
        })
        .map_err(|stop| match stop {
            Stop::Xml(cause) => HierarchyError::Xml { file: name(), cause },
            Stop::Tree(error) => error,
        })?;
        let date = date.ok_or_else(|| HierarchyError::NoEndDate { file: name() })?;
        if rows == 0 {
            return Err(HierarchyError::NoUnits { file: name() });
        }
        self.dates.push((name(), date));
        Ok(())
    }

    fn skip(&mut self, why: String) {
        self.skipped_count += 1;
        if self.skipped.len() < limits::HSA_SKIPPED_SHOWN_MAX {
            self.skipped.push(why);
        }
    }

    fn finish(mut self) -> UnitFiles {
        let root = HsaId::parse(ROOT).ok();
        let mut parents: BTreeMap<HsaId, HsaId> = BTreeMap::new();
        let mut twice = Vec::new();
        for (dn, id) in &self.units {
            let above = above(dn).find_map(|it| self.units.get(it).filter(|it| *it != id));
            let Some(parent) = above.or(root.as_ref()) else { continue };
            if parents.contains_key(id) {
                twice.push(format!("{id} is at more than one place; it is not at {dn}"));
            } else if id != parent {
                parents.insert(id.clone(), parent.clone());
            }
        }
        for why in twice {
            self.skip(why);
        }
        UnitFiles {
            hierarchy: Hierarchy::new(parents),
            dates: self.dates,
            skipped: self.skipped,
            skipped_count: self.skipped_count,
        }
    }
}

/// The id and the name to compare of a unit, or why it is none.
fn unit(row: &Row) -> Result<(HsaId, String), String> {
    let id = row.text_of("hsaIdentity").map(str::trim).filter(|it| !it.is_empty());
    let id = id.ok_or("the unit has no hsaIdentity")?;
    let id = HsaId::parse(id).map_err(|why| format!("hsaIdentity is no HSA-id: {why}"))?;
    let dn = row.text_of("DN").map(str::trim).filter(|it| !it.is_empty());
    let dn = dn.ok_or_else(|| format!("{id} has no DN"))?;
    if levels(dn).any(|it| !it.contains('=')) {
        return Err(format!("the DN of {id} is no distinguished name"));
    }
    Ok((id, compared(dn)))
}

/// A distinguished name as it is compared: in lower case, without white space around its levels.
fn compared(dn: &str) -> String {
    let levels: Vec<String> = levels(dn)
        .map(|level| {
            let (key, value) = level.split_once('=').unwrap_or((level, ""));
            format!("{}={}", key.trim(), value.trim()).to_lowercase()
        })
        .collect();
    levels.join(",")
}

/// The levels of a name, the unit's own first. A comma after a backslash is part of a level.
fn levels(dn: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(dn);
    std::iter::from_fn(move || {
        let text = rest?;
        let (level, after) = split(text);
        rest = after;
        Some(level)
    })
}

/// The names above a compared name, nearest first.
fn above(dn: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(split(dn).1, |it| split(it).1)
}

/// The first level, and the rest where there is one.
fn split(dn: &str) -> (&str, Option<&str>) {
    let mut escaped = false;
    for (at, c) in dn.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => return (dn.get(..at).unwrap_or(dn), dn.get(at + 1..)),
            _ => {}
        }
    }
    (dn, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(id: &str, dn: &str) -> String {
        format!("<hsaUnit><hsaIdentity>{id}</hsaIdentity><DN>{dn}</DN><name>n</name></hsaUnit>")
    }

    fn file(units: &[String]) -> Source {
        let units = units.join("\n");
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <HsaUnitsResponse xmlns=\"urn:riv:hsa:HsaWsResponder:3\">\n\
             <startDate>2026-04-30T00:00:00.000+02:00</startDate>\n\
             <endDate>2026-05-01T01:25:00.000+02:00</endDate>\n\
             <hsaUnits>\n{units}\n</hsaUnits></HsaUnitsResponse>"
        );
        Source { name: "hsaunits.xml".to_owned(), text }
    }

    fn read(files: &[Source]) -> UnitFiles {
        UnitFiles::read(files).unwrap()
    }

    fn up(tree: &UnitFiles, id: &str) -> Vec<String> {
        tree.hierarchy.ancestors(id).map(str::to_owned).collect()
    }

    fn county() -> Vec<String> {
        vec![
            unit("SE-REGION", "o=Region Exempel,l=Testlän,c=SE"),
            unit("SE-HOSPITAL", "ou=Sjukhuset,o=Region Exempel,l=Testlän,c=SE"),
            // Between the hospital and the ward is a level that is no unit.
            unit(
                "SE-WARD",
                "ou=Avdelning 1,ou=Kliniken,ou=Sjukhuset,o=Region Exempel,l=Testlän,c=SE",
            ),
        ]
    }

    #[test]
    fn the_parent_is_the_nearest_level_that_is_a_unit_and_the_root_is_last() {
        let tree = read(&[file(&county())]);
        assert_eq!(up(&tree, "SE-WARD"), ["SE-HOSPITAL", "SE-REGION", "SE"]);
        assert_eq!(up(&tree, "SE-REGION"), ["SE"]);
        assert_eq!(up(&tree, "SE-UNKNOWN"), ["SE"]);
        assert_eq!(up(&tree, "SE"), [""; 0]);
        assert_eq!(tree.hierarchy.units(), 3);
        assert_eq!(tree.dates[0].1, "2026-05-01T01:25:00.000+02:00");
        assert_eq!(tree.skipped_count, 0);
    }

    #[test]
    fn names_are_compared_without_case_and_space_and_a_comma_can_be_in_one() {
        let mut units = county();
        units.push(unit("SE-ROOM", "ou=Rum 1\\, vån 2, OU = avdelning 1 ,ou=Kliniken,ou=Sjukhuset,o=Region Exempel,l=testlän,c=se"));
        let tree = read(&[file(&units)]);
        assert_eq!(up(&tree, "SE-ROOM"), ["SE-WARD", "SE-HOSPITAL", "SE-REGION", "SE"]);
    }

    #[test]
    fn a_later_file_adds_units_and_replaces_those_of_the_same_name() {
        let later = [
            unit("SE-CLINIC", "ou=Kliniken,ou=Sjukhuset,o=Region Exempel,l=Testlän,c=SE"),
            unit("SE-NEW", "o=Region Exempel,l=Testlän,c=SE"),
        ];
        let tree = read(&[file(&county()), file(&later)]);
        assert_eq!(up(&tree, "SE-WARD"), ["SE-CLINIC", "SE-HOSPITAL", "SE-NEW", "SE"]);
        // What was replaced is not in the tree any more.
        assert_eq!(up(&tree, "SE-REGION"), ["SE"]);
        assert_eq!(tree.hierarchy.units(), 4);
    }

    #[test]
    fn rows_without_id_or_name_are_skipped_and_told() {
        let mut units = county();
        units.push("<hsaUnit><DN>ou=x,c=SE</DN></hsaUnit>".to_owned());
        units.push("<hsaUnit><hsaIdentity>SE-X</hsaIdentity><DN> </DN></hsaUnit>".to_owned());
        units.push(unit("SE X", "ou=x,c=SE"));
        units.push(unit("SE-X", "Kliniken"));
        units.push(unit("SE-WARD", "ou=Annan,o=Region Exempel,l=Testlän,c=SE"));
        let tree = read(&[file(&units)]);
        assert_eq!(tree.hierarchy.units(), 3);
        assert_eq!(tree.skipped_count, 5);
        assert!(tree.skipped[0].starts_with("hsaunits.xml:9: the unit has no hsaIdentity"));
        assert!(tree.skipped[4].contains("more than one place"), "{:?}", tree.skipped);
    }

    #[test]
    fn a_file_that_cannot_be_trusted_gives_no_tree() {
        let refused = |file: &Source| UnitFiles::read(std::slice::from_ref(file)).unwrap_err();
        let mut twice = county();
        twice.push(unit("SE-OTHER", "o=region exempel, l=Testlän, c=SE"));
        let error = refused(&file(&twice)).to_string();
        assert!(error.starts_with("hsaunits.xml:9: the DN"), "{error}");
        let mut undated = file(&county());
        undated.text = undated.text.replace("endDate", "someDate");
        assert!(matches!(refused(&undated), HierarchyError::NoEndDate { .. }));
        assert!(matches!(refused(&file(&[])), HierarchyError::NoUnits { .. }));
        let mut cut = file(&county());
        cut.text.truncate(cut.text.len() - 10);
        assert!(matches!(refused(&cut), HierarchyError::Xml { .. }));
        // Twice in two files is what the second file is for.
        assert!(UnitFiles::read(&[file(&county()), file(&county())]).is_ok());
    }
}
