//! The strict pass: from text to a tree.

use std::collections::BTreeMap;
use std::ops::Range;

use quick_xml::events::attributes::Attribute as RawAttribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{NamespaceResolver, PrefixDeclaration, ResolveResult};
use quick_xml::reader::NsReader;

use super::{Attribute, Document, Record, XMLNS, XmlError};
use crate::limits;

/// Bytes of an element with its text, for the first guess at how many there are.
const ELEMENT_BYTES: usize = 64;

/// Room for so many elements is made before they have come.
const ELEMENTS_AT_ONCE: usize = 256;

/// Reads `text` whole, or as far as it goes where it is only the `beginning` of a document.
pub(super) fn parse(text: &str, beginning: bool) -> Result<Document, XmlError> {
    if let Some(at) = illegal_char(text) {
        return Err(XmlError::Character(at));
    }
    let mut reader = NsReader::from_str(text);
    reader.config_mut().check_comments = true;
    // An element takes about this much; more is made room for as it comes.
    let records = Vec::with_capacity((text.len() / ELEMENT_BYTES).min(ELEMENTS_AT_ONCE));
    let mut tree = Tree { text, records, namespaces: BTreeMap::new(), open: Vec::new() };
    loop {
        let at = offset(reader.buffer_position());
        let event = reader
            .read_event()
            .map_err(|error| XmlError::Syntax { at, what: what(&error).to_owned() })?;
        let tag = at..offset(reader.buffer_position());
        match event {
            Event::Start(start) => {
                let index = tree.element(&start, reader.resolver(), tag)?;
                tree.open.push(Open { index, last_child: None });
            }
            Event::Empty(start) => {
                tree.element(&start, reader.resolver(), tag)?;
            }
            Event::End(_) => tree.end(tag.end)?,
            Event::Text(raw) => {
                if let Some(cut) = memchr::memmem::find(raw.as_bytes(), b"]]>") {
                    return Err(XmlError::Syntax { at: at + cut, what: "]]> i text".to_owned() });
                }
                tree.text(&raw.xml10_content(), at, false)?;
            }
            Event::CData(raw) => tree.text(&raw.xml10_content(), at, true)?,
            Event::GeneralRef(reference) => {
                let character = resolve(&reference, at)?;
                tree.text(character.encode_utf8(&mut [0; 4]), at, true)?;
            }
            Event::Comment(_) => {}
            Event::Decl(_) if at == 0 && is_declaration(text.get(tag).unwrap_or_default()) => {}
            Event::Decl(_) | Event::PI(_) => return Err(XmlError::Instruction(at)),
            Event::DocType(_) => return Err(XmlError::Doctype),
            Event::Eof => break,
        }
    }
    tree.finish(beginning)
}

struct Tree<'t> {
    text: &'t str,
    records: Vec<Record>,
    /// Each with its place in the document's list.
    namespaces: BTreeMap<String, usize>,
    open: Vec<Open>,
}

struct Open {
    index: usize,
    last_child: Option<usize>,
}

impl Tree<'_> {
    fn element(
        &mut self,
        start: &BytesStart<'_>,
        resolver: &NamespaceResolver,
        tag: Range<usize>,
    ) -> Result<usize, XmlError> {
        let at = tag.start;
        if self.open.is_empty() && !self.records.is_empty() {
            return Err(XmlError::OutsideRoot(at));
        }
        if self.open.len() >= limits::XML_DEPTH_MAX {
            return Err(XmlError::Depth);
        }
        if self.records.len() >= limits::XML_ELEMENTS_MAX {
            return Err(XmlError::Elements);
        }
        let raw_name = start.name();
        let (local, prefix) = raw_name.decompose();
        let prefix = prefix.map_or("", |it| it.into_inner());
        check_name(prefix, local.as_ref(), at)?;
        if prefix == "xmlns" {
            return Err(XmlError::Namespace(at));
        }
        let attributes = attributes(start, resolver, at)?;
        let (bound, _) = resolver.resolve_element(raw_name);
        let namespace = match bound {
            ResolveResult::Bound(namespace) => Some(self.intern(namespace.0)),
            ResolveResult::Unbound => None,
            ResolveResult::Unknown(_) => return Err(XmlError::Namespace(at)),
        };
        let index = self.records.len();
        let parent = self.open.last_mut();
        self.records.push(Record {
            parent: parent.as_ref().map(|it| it.index),
            prefix: prefix.to_owned(),
            name: local.as_ref().to_owned(),
            namespace,
            attributes,
            end: tag.end,
            tag,
            ..Record::default()
        });
        if let Some(parent) = parent {
            let before = parent.last_child.replace(index);
            let link = before.unwrap_or(parent.index);
            if let Some(record) = self.records.get_mut(link) {
                match before {
                    Some(_) => record.next = Some(index),
                    None => record.first_child = Some(index),
                }
            }
        }
        Ok(index)
    }

    fn intern(&mut self, namespace: &str) -> usize {
        if let Some(known) = self.namespaces.get(namespace) {
            return *known;
        }
        let place = self.namespaces.len();
        self.namespaces.insert(namespace.to_owned(), place);
        place
    }

    fn end(&mut self, end: usize) -> Result<(), XmlError> {
        let open = self.open.pop().ok_or(XmlError::Unfinished)?;
        if let Some(record) = self.records.get_mut(open.index) {
            record.end = end;
        }
        Ok(())
    }

    /// `solid`: from CDATA or a reference, which may not stand outside the root even as white space.
    fn text(&mut self, text: &str, at: usize, solid: bool) -> Result<(), XmlError> {
        let space = text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
        let Some(open) = self.open.last() else {
            return if space && !solid { Ok(()) } else { Err(XmlError::OutsideRoot(at)) };
        };
        if let Some(record) = self.records.get_mut(open.index) {
            record.text.push_str(text);
            record.text_beside_space |= !space;
        }
        Ok(())
    }

    fn finish(mut self, beginning: bool) -> Result<Document, XmlError> {
        if !self.open.is_empty() && !beginning {
            return Err(XmlError::Unfinished);
        }
        for open in &self.open {
            if let Some(record) = self.records.get_mut(open.index) {
                record.end = self.text.len();
            }
        }
        let root = self.records.first().cloned().ok_or(XmlError::Unfinished)?;
        let mut namespaces: Vec<(usize, String)> =
            self.namespaces.into_iter().map(|(name, place)| (place, name)).collect();
        namespaces.sort_unstable();
        let namespaces = namespaces.into_iter().map(|(_, name)| name).collect();
        Ok(Document { records: self.records, namespaces, root })
    }
}

pub(super) fn attributes(
    start: &BytesStart<'_>,
    resolver: &NamespaceResolver,
    at: usize,
) -> Result<Vec<Attribute>, XmlError> {
    let mut found: Vec<Attribute> = Vec::new();
    let (mut declarations, mut seen) = (0, 0);
    if !is_spaced(start.attributes_raw()) {
        return Err(XmlError::Syntax { at, what: "mellanslag saknas mellan attribut".to_owned() });
    }
    for attribute in start.attributes() {
        let attribute = attribute
            .map_err(|_| XmlError::Syntax { at, what: "felaktigt attribut".to_owned() })?;
        let value = attribute_value(&attribute, at)?;
        let (local, prefix) = attribute.key.decompose();
        let prefix = prefix.map_or("", |it| it.into_inner());
        check_name(prefix, local.as_ref(), at)?;
        if let Some(declared) = attribute.key.as_namespace_binding() {
            declarations += 1;
            let named = matches!(declared, PrefixDeclaration::Named(_));
            // quick-xml compares names of namespaces as written: one that is not written as it is
            // would be another here than to the next reader.
            let as_written = value == attribute.value;
            if value == XMLNS || named && value.is_empty() || !as_written {
                return Err(XmlError::Namespace(at));
            }
        } else {
            seen += 1;
            let namespace = match resolver.resolve_attribute(attribute.key).0 {
                ResolveResult::Bound(namespace) => Some(namespace.0.to_owned()),
                ResolveResult::Unbound => None,
                ResolveResult::Unknown(_) => return Err(XmlError::Namespace(at)),
            };
            let name = local.as_ref().to_owned();
            if found.iter().any(|it| it.name == name && it.namespace == namespace) {
                return Err(XmlError::DuplicateAttribute(at));
            }
            found.push(Attribute { namespace, name, value });
        }
        if seen > limits::XML_ATTRIBUTES_MAX || declarations > limits::XML_NAMESPACES_MAX {
            return Err(XmlError::Attributes(at));
        }
    }
    Ok(found)
}

/// Whether white space stands between every value and the next name, which quick-xml does not ask.
fn is_spaced(attributes: &str) -> bool {
    let mut rest = attributes;
    while let Some((_, value)) = rest.split_once(['"', '\'']) {
        let quote = rest.as_bytes().get(rest.len() - value.len() - 1);
        let quote = if quote == Some(&b'"') { '"' } else { '\'' };
        let Some((_, after)) = value.split_once(quote) else { return true };
        if after.starts_with(|c: char| !is_space(c) && c != '/') {
            return false;
        }
        rest = after;
    }
    true
}

/// References resolved; a tab or a line break is a space (XML 1.0, 3.3.3).
fn attribute_value(attribute: &RawAttribute<'_>, at: usize) -> Result<String, XmlError> {
    let raw = attribute.value.as_ref();
    if memchr::memchr(b'<', raw.as_bytes()).is_some() {
        return Err(XmlError::Syntax { at, what: "< i ett attribut".to_owned() });
    }
    let mut value = String::with_capacity(raw.len());
    let mut pieces = raw.split('&');
    let plain = |piece: &str| piece.replace("\r\n", " ").replace(['\t', '\r', '\n'], " ");
    value.push_str(&plain(pieces.next().unwrap_or_default()));
    for piece in pieces {
        let (reference, rest) = piece.split_once(';').ok_or(XmlError::Entity(at))?;
        value.push(resolve(&BytesRef::new(reference), at)?);
        value.push_str(&plain(rest));
    }
    Ok(value)
}

/// Whether a text has a form.
type Form = fn(&str) -> bool;

/// Whether the text is an XML declaration: version 1.something, then perhaps encoding, then perhaps
/// standalone. quick-xml takes anything between the marks.
pub(super) fn is_declaration(text: &str) -> bool {
    let inside = text.strip_prefix("<?xml").and_then(|rest| rest.strip_suffix("?>"));
    let Some(inside) = inside.filter(|it| is_spaced(it)) else { return false };
    let mut rest = inside;
    let parts: [(&str, Form); 3] = [
        ("version", is_version),
        ("encoding", is_encoding),
        ("standalone", |it| matches!(it, "yes" | "no")),
    ];
    for (name, is_right) in parts {
        match pseudo_attribute(rest, name) {
            Some((value, after)) if is_right(value) => rest = after,
            Some(_) => return false,
            None if name == "version" => return false,
            None => {}
        }
    }
    rest.chars().all(is_space)
}

fn is_version(text: &str) -> bool {
    let minor = text.strip_prefix("1.").unwrap_or_default();
    !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit())
}

fn is_encoding(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The value of ` name="value"` at the start of a text, and what comes after.
fn pseudo_attribute<'t>(text: &'t str, name: &str) -> Option<(&'t str, &'t str)> {
    let rest = text.strip_prefix(is_space)?.trim_start_matches(is_space).strip_prefix(name)?;
    let rest = rest.trim_start_matches(is_space).strip_prefix('=')?.trim_start_matches(is_space);
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    rest.get(1..)?.split_once(quote)
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

pub(super) fn resolve(reference: &BytesRef<'_>, at: usize) -> Result<char, XmlError> {
    if reference.is_char_ref() {
        let found = reference.resolve_char_ref().map_err(|_| XmlError::Character(at))?;
        return found.filter(|it| is_xml_char(*it)).ok_or(XmlError::Character(at));
    }
    match reference.clone().into_inner().as_ref() {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => Err(XmlError::Entity(at)),
    }
}

/// The reader's own words are English and can quote the message; the place says the rest.
fn what(error: &quick_xml::Error) -> &'static str {
    use quick_xml::errors::IllFormedError;
    if let quick_xml::Error::IllFormed(fault) = error {
        if matches!(fault, IllFormedError::MismatchedEndTag { .. }) {
            return "sluttaggen är inte starttaggens";
        }
        if matches!(fault, IllFormedError::UnmatchedEndTag(_)) {
            return "en sluttagg utan starttagg";
        }
    }
    "felaktig uppmärkning"
}

pub(super) fn check_name(prefix: &str, local: &str, at: usize) -> Result<(), XmlError> {
    let good = is_nc_name(local) && (prefix.is_empty() || is_nc_name(prefix));
    if !good || prefix.len() + local.len() > limits::XML_NAME_BYTES_MAX {
        return Err(XmlError::Name(at));
    }
    Ok(())
}

fn is_nc_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(starts_name) && characters.all(continues_name)
}

const fn starts_name(c: char) -> bool {
    matches!(c,
        'A'..='Z' | 'a'..='z' | '_'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}'
        | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

const fn continues_name(c: char) -> bool {
    starts_name(c)
        || matches!(c,
            '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// Whether XML 1.0 has the character.
#[must_use]
pub const fn is_xml_char(c: char) -> bool {
    matches!(c,
        '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Whether XML 1.0 has every character of the text.
#[must_use]
pub fn is_xml_text(text: &str) -> bool {
    illegal_char(text).is_none()
}

/// Where the first illegal character stands.
pub(super) fn illegal_char(text: &str) -> Option<usize> {
    // Two passes over bytes, each of which the compiler can do many at a time, instead of one over
    // characters: U+FFFE and U+FFFF are EF BF BE and EF BF BF.
    let bytes = text.as_bytes();
    let control = |b: &u8| *b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r');
    if !bytes.iter().any(control) && memchr::memmem::find(bytes, b"\xEF\xBF").is_none() {
        return None;
    }
    text.char_indices().find(|(_, c)| !is_xml_char(*c)).map(|(at, _)| at)
}

pub(super) fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
