//! From elements to values: the rules on single fields.
//!
//! The shape has been checked before. What is left is values: *invalid* where a message cannot be
//! used without the field, a remark where a complaint can (PSL 3:8 a), and in messages between
//! systems always invalid.

use jiff::Timestamp;
use jiff::civil::Date;

use super::person::{self, Verdict};
use super::{CORE, FileSeen, Rejection};
use crate::clock;
use crate::complaint::message::{
    Actor, Attachment, Classification, Code, Ii, MediaType, OrgUnit, Remark,
};
use crate::id::HsaId;
use crate::limits;
use crate::xml::Node;

pub(super) type Read<T> = Result<T, Rejection>;

/// Whether faults of form in optional fields are remarked on or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Optional {
    Remarked,
    Refused,
}

/// Reads the values of one message.
#[derive(Debug)]
pub(super) struct Fields<'d> {
    top: Node<'d>,
    files: &'d [FileSeen],
    pub(super) optional: Optional,
    /// What the paths of remarks begin below: the message, or the complaint in it.
    pub(super) remarks_below: Node<'d>,
    pub(super) remarks: Vec<Remark>,
}

impl<'d> Fields<'d> {
    pub(super) const fn new(top: Node<'d>, files: &'d [FileSeen], optional: Optional) -> Self {
        Self { top, files, optional, remarks_below: top, remarks: Vec::new() }
    }

    // -- elements

    /// A child that the shape promises.
    pub(super) fn must(&self, node: Node<'d>, name: &str) -> Read<Node<'d>> {
        self.may(node, name).ok_or_else(|| Rejection::Malformed {
            path: self.path(node),
            what: format!("elementet {name} saknas"),
        })
    }

    pub(super) fn may(&self, node: Node<'d>, name: &str) -> Option<Node<'d>> {
        let same = node.tag() == self.top.tag();
        node.child(if same { self.top.namespace() } else { CORE }, name)
    }

    fn path(&self, node: Node<'d>) -> String {
        node.path_below(self.top)
    }

    pub(super) fn invalid(&self, node: Node<'d>, rule: &str) -> Rejection {
        Rejection::Invalid { field: self.path(node), rule: rule.to_owned() }
    }

    /// A rule broken by a field `name` that is not there.
    pub(super) fn lacks(&self, node: Node<'d>, name: &str, rule: &str) -> Rejection {
        let path = self.path(node);
        let slash = if path.is_empty() { "" } else { "/" };
        Rejection::Invalid { field: format!("{path}{slash}{name}"), rule: rule.to_owned() }
    }

    /// A fault of form in an optional field.
    pub(super) fn fault(&mut self, node: Node<'d>, rule: &str) -> Read<()> {
        match self.optional {
            Optional::Refused => Err(self.invalid(node, rule)),
            Optional::Remarked => {
                self.remark(node, rule);
                Ok(())
            }
        }
    }

    pub(super) fn remark(&mut self, node: Node<'d>, rule: &str) {
        let field = node.path_below(self.remarks_below);
        self.remarks.push(Remark { field, rule: rule.to_owned() });
    }

    // -- texts

    /// A longer text that must be there, white space kept.
    pub(super) fn text(&self, node: Node<'d>, name: &str) -> Read<String> {
        let node = self.must(node, name)?;
        if node.text().trim().is_empty() {
            return Err(self.invalid(node, EMPTY));
        }
        if longer(node.text(), limits::TEXT_CHARS_MAX) {
            return Err(self.invalid(node, TEXT_TOO_LONG));
        }
        Ok(node.text().to_owned())
    }

    pub(super) fn optional_text(&mut self, node: Node<'d>, name: &str) -> Read<Option<String>> {
        self.optional_within(node, name, limits::TEXT_CHARS_MAX, TEXT_TOO_LONG)
    }

    pub(super) fn optional_line(&mut self, node: Node<'d>, name: &str) -> Read<Option<String>> {
        self.optional_within(node, name, limits::LINE_CHARS_MAX, LINE_TOO_LONG)
    }

    fn optional_within(
        &mut self,
        node: Node<'d>,
        name: &str,
        chars_max: usize,
        rule: &str,
    ) -> Read<Option<String>> {
        let Some(node) = self.may(node, name) else { return Ok(None) };
        if node.text().trim().is_empty() {
            return Ok(None);
        }
        if longer(node.text(), chars_max) {
            self.fault(node, rule)?;
        }
        Ok(Some(node.text().to_owned()))
    }

    /// An id or a one-line text that must be there, trimmed.
    pub(super) fn line(&self, node: Node<'d>, name: &str) -> Read<String> {
        let node = self.must(node, name)?;
        self.line_of(node)
    }

    fn line_of(&self, node: Node<'d>) -> Read<String> {
        let text = node.text().trim();
        if text.is_empty() {
            return Err(self.invalid(node, EMPTY));
        }
        if longer(text, limits::LINE_CHARS_MAX) {
            return Err(self.invalid(node, LINE_TOO_LONG));
        }
        Ok(text.to_owned())
    }

    /// As [`Self::optional_line`], trimmed: for ids and codes.
    pub(super) fn optional_id(&mut self, node: Node<'d>, name: &str) -> Read<Option<String>> {
        Ok(self.optional_line(node, name)?.map(|text| text.trim().to_owned()))
    }

    // -- values

    pub(super) fn stamp(&self, node: Node<'d>, name: &str) -> Read<Timestamp> {
        let node = self.must(node, name)?;
        clock::from_riv_stamp(node.text().trim())
            .ok_or_else(|| self.invalid(node, "ska vara en tid på formen ÅÅÅÅMMDDttmmss"))
    }

    pub(super) fn date(&self, node: Node<'d>, name: &str) -> Read<Date> {
        let node = self.must(node, name)?;
        clock::from_riv_date(node.text().trim()).ok_or_else(|| self.invalid(node, DATE))
    }

    pub(super) fn optional_date(&mut self, node: Node<'d>, name: &str) -> Read<Option<Date>> {
        let Some(node) = self.may(node, name) else { return Ok(None) };
        let date = clock::from_riv_date(node.text().trim());
        if date.is_none() {
            self.fault(node, DATE)?;
        }
        Ok(date)
    }

    pub(super) fn boolean(&self, node: Node<'d>, name: &str) -> Read<bool> {
        let node = self.must(node, name)?;
        to_bool(node.text()).ok_or_else(|| self.invalid(node, BOOLEAN))
    }

    /// `unreadable`: what a value that is no boolean is taken for.
    pub(super) fn optional_boolean(
        &mut self,
        node: Node<'d>,
        name: &str,
        unreadable: Option<bool>,
    ) -> Read<Option<bool>> {
        let Some(node) = self.may(node, name) else { return Ok(None) };
        if let Some(value) = to_bool(node.text()) {
            return Ok(Some(value));
        }
        self.fault(node, BOOLEAN)?;
        Ok(unreadable)
    }

    /// One of an enumeration's values, which are given as on the wire.
    pub(super) fn one_of<T: Copy>(
        &self,
        node: Node<'d>,
        name: &str,
        values: &[(&str, T)],
    ) -> Read<T> {
        let node = self.must(node, name)?;
        pick(node, values).ok_or_else(|| self.invalid(node, &not_one_of(values)))
    }

    // -- types

    pub(super) fn ii(&self, node: Node<'d>, name: &str) -> Read<Ii> {
        let node = self.must(node, name)?;
        self.ii_of(node)
    }

    pub(super) fn ii_of(&self, node: Node<'d>) -> Read<Ii> {
        let root = self.line(node, "root")?;
        let extension = match self.may(node, "extension") {
            Some(extension) => Some(self.line_of(extension)?),
            None => None,
        };
        Ok(Ii { root, extension })
    }

    /// A person id whose form is a rule.
    pub(super) fn person(&mut self, node: Node<'d>) -> Read<Ii> {
        let id = self.ii_of(node)?;
        match person::check(&id) {
            Verdict::Good => {}
            Verdict::Unknown(rule) => self.remark(node, rule),
            Verdict::Wrong(rule) => return Err(self.invalid(node, rule)),
        }
        Ok(id)
    }

    /// A person id that is kept whatever its form; `None` where it is empty.
    pub(super) fn person_as_given(&mut self, node: Node<'d>) -> Read<Option<Ii>> {
        let root = self.optional_id(node, "root")?.unwrap_or_default();
        let extension = self.optional_id(node, "extension")?;
        let id = Ii { root, extension };
        match person::check(&id) {
            Verdict::Good => {}
            Verdict::Unknown(rule) | Verdict::Wrong(rule) => self.fault(node, rule)?,
        }
        Ok(Some(id).filter(|id| !id.root.is_empty() || id.extension.is_some()))
    }

    pub(super) fn hsa_id(&self, node: Node<'d>, name: &str) -> Read<HsaId> {
        let node = self.must(node, name)?;
        HsaId::parse(node.text()).map_err(|_| {
            self.invalid(node, "ska vara ett HSA-id: 1 till 64 synliga tecken utan å, ä och ö")
        })
    }

    pub(super) fn org_unit(&mut self, node: Node<'d>) -> Read<OrgUnit> {
        Ok(OrgUnit {
            hsa_id: self.hsa_id(node, "orgUnitHSAId")?,
            name: self.optional_line(node, "orgUnitName")?,
            telecom: self.optional_line(node, "orgUnitTelecom")?,
            email: self.optional_line(node, "orgUnitEmail")?,
            address: self.optional_line(node, "orgUnitAddress")?,
            location: self.optional_line(node, "orgUnitLocation")?,
        })
    }

    pub(super) fn actor(&mut self, node: Node<'d>) -> Read<Actor> {
        let unit = match self.may(node, "unit") {
            Some(unit) => Some(self.org_unit(unit)?),
            None => None,
        };
        Ok(Actor {
            hsa_id: self.hsa_id(node, "hsaId")?,
            name: self.optional_line(node, "name")?,
            title: self.optional_line(node, "title")?,
            unit,
        })
    }

    fn code_as_given(&mut self, node: Node<'d>) -> Read<Code> {
        Ok(Code {
            code: self.optional_id(node, "code")?,
            code_system: self.optional_id(node, "codeSystem")?,
            code_system_name: self.optional_line(node, "codeSystemName")?,
            code_system_version: self.optional_id(node, "codeSystemVersion")?,
            display_name: self.optional_line(node, "displayName")?,
            original_text: self.optional_line(node, "originalText")?,
        })
    }

    /// A code that must be one.
    pub(super) fn code(&mut self, node: Node<'d>) -> Read<Code> {
        let code = self.code_as_given(node)?;
        if code.code.is_none() {
            return Err(self.lacks(node, "code", "koden ska finnas"));
        }
        Ok(code)
    }

    /// A code, or a text in its place; `None` where it says nothing at all.
    pub(super) fn optional_code(&mut self, node: Node<'d>) -> Read<Option<Code>> {
        let code = self.code_as_given(node)?;
        if code.code.is_none() && code.original_text.is_none() {
            self.fault(node, "antingen code eller originalText ska finnas")?;
        }
        Ok(Some(code).filter(|code| *code != Code::default()))
    }

    pub(super) fn codes(&mut self, node: Node<'d>, name: &'static str) -> Read<Vec<Code>> {
        let mut codes = Vec::new();
        for (place, node) in named(node, name).enumerate() {
            if place >= limits::CODES_MAX {
                return Err(self.invalid(node, TOO_MANY_CODES));
            }
            codes.push(self.code(node)?);
        }
        Ok(codes)
    }

    pub(super) fn optional_codes(&mut self, node: Node<'d>, name: &'static str) -> Read<Vec<Code>> {
        let mut codes = Vec::new();
        for (place, node) in named(node, name).enumerate() {
            if place >= limits::CODES_MAX {
                self.fault(node, TOO_MANY_CODES)?;
                break;
            }
            codes.extend(self.optional_code(node)?);
        }
        Ok(codes)
    }

    pub(super) fn classification(&mut self, node: Node<'d>) -> Read<Classification> {
        let node = self.must(node, "classification")?;
        let area = self.must(node, "operationalArea")?;
        Ok(Classification {
            main_problems: self.codes(node, "mainProblem")?,
            sub_problems: self.codes(node, "subProblem")?,
            operational_area: self.code(area)?,
        })
    }

    // -- files

    pub(super) fn attachments(&self, node: Node<'d>, count_max: usize) -> Read<Vec<Attachment>> {
        let mut attachments = Vec::new();
        for (place, attachment) in named(node, "attachment").enumerate() {
            if place >= count_max {
                let rule = format!("högst {count_max} bilagor får finnas i ett meddelande");
                return Err(self.invalid(attachment, &rule));
            }
            attachments.push(self.attachment(attachment)?);
        }
        Ok(attachments)
    }

    fn attachment(&self, node: Node<'d>) -> Read<Attachment> {
        let id = self.line(node, "id")?;
        let file_name = self.line(node, "fileName")?;
        let media_type = self.one_of(node, "mediaType", &MEDIA_TYPES)?;
        let value = self.must(node, "value")?;
        if value.text().is_empty() {
            return Err(self.invalid(value, "filen är tom"));
        }
        let index: Option<usize> = value.text().parse().ok();
        let file = index.and_then(|at| self.files.get(at)).ok_or_else(|| Rejection::Malformed {
            path: self.path(value),
            what: "filen saknas".to_owned(),
        })?;
        if file.media != Some(media_type) {
            let rule = "filens innehåll stämmer inte med mediaType";
            return Err(self.invalid(value, rule));
        }
        Ok(Attachment { id, file_name, media_type, sha256: file.sha256.clone(), bytes: file.bytes })
    }
}

pub(super) const EMPTY: &str = "får inte vara tomt";
const DATE: &str = "ska vara ett datum på formen ÅÅÅÅMMDD";
const BOOLEAN: &str = "ska vara true eller false";
const TEXT_TOO_LONG: &str = "får ha högst 20 000 tecken";
const LINE_TOO_LONG: &str = "får ha högst 500 tecken";
const TOO_MANY_CODES: &str = "högst 100 koder får finnas i en lista";
const _: () = assert!(limits::TEXT_CHARS_MAX == 20_000);
const _: () = assert!(limits::LINE_CHARS_MAX == 500 && limits::CODES_MAX == 100);

const MEDIA_TYPES: [(&str, MediaType); 4] = [
    (MediaType::Pdf.as_str(), MediaType::Pdf),
    (MediaType::Gif.as_str(), MediaType::Gif),
    (MediaType::Jpeg.as_str(), MediaType::Jpeg),
    (MediaType::Png.as_str(), MediaType::Png),
];

/// The value of an enumeration that a node has.
pub(super) fn pick<T: Copy>(node: Node<'_>, values: &[(&str, T)]) -> Option<T> {
    let text = node.text().trim();
    values.iter().find(|(wire, _)| *wire == text).map(|(_, value)| *value)
}

/// The rule that a value is one of these.
pub(super) fn not_one_of<T>(values: &[(&str, T)]) -> String {
    let names: Vec<&str> = values.iter().map(|(wire, _)| *wire).collect();
    format!("ska vara något av {}", names.join(", "))
}

/// How a value of an enumeration is written.
pub(super) fn wire<T: PartialEq>(value: &T, values: &[(&'static str, T)]) -> &'static str {
    values.iter().find(|(_, it)| it == value).map_or("", |(wire, _)| wire)
}

pub(super) fn to_bool(text: &str) -> Option<bool> {
    match text.trim() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn named<'d>(node: Node<'d>, name: &'static str) -> impl Iterator<Item = Node<'d>> {
    node.children().filter(move |it| it.is(CORE, name))
}

fn longer(text: &str, chars_max: usize) -> bool {
    text.len() > chars_max && text.chars().nth(chars_max).is_some()
}
