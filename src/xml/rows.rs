//! A long document of many like rows, screened as strictly as a whole one and forgotten row by row.

use std::sync::Arc;

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{NamespaceResolver, ResolveResult};
use quick_xml::reader::NsReader;

use super::XmlError;
use super::parse::{attributes, check_name, illegal_char, is_declaration, offset, resolve};
use crate::limits;

/// One row: an element of a wanted name, and everything in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Local name.
    pub name: String,
    /// Where its start tag begins: bytes from the start of the text.
    pub at: usize,
    /// The text directly inside.
    pub text: String,
    /// The elements in it, in document order. At most [`limits::XML_ELEMENTS_MAX`].
    pub fields: Vec<Field>,
}

/// An element of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// How deep it stands: 1 is directly in the row.
    pub depth: usize,
    /// The namespace; empty for none.
    pub namespace: Arc<str>,
    /// Local name.
    pub name: String,
    /// The text directly inside.
    pub text: String,
}

impl Row {
    /// The text of the first field of this name directly in the row.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|it| it.depth == 1 && it.name == name);
        found.map(|it| it.text.as_str())
    }
}

/// Reads a whole document and hands over each element whose local name is in `names`, when it ends.
/// Rows in rows are fields. Returns the local names of the elements outside rows, in order.
pub fn each<E: From<XmlError>>(
    text: &str,
    names: &[&str],
    take: &mut dyn FnMut(Row) -> Result<(), E>,
) -> Result<Vec<String>, E> {
    if let Some(at) = illegal_char(text) {
        return Err(XmlError::Character(at).into());
    }
    let mut reader = NsReader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut pass = Pass { names, ..Pass::default() };
    loop {
        let at = offset(reader.buffer_position());
        let event = reader
            .read_event()
            .map_err(|error| XmlError::Syntax { at, what: error.to_string() })?;
        match event {
            Event::Start(start) => pass.start(&start, reader.resolver(), at)?,
            Event::Empty(start) => {
                pass.start(&start, reader.resolver(), at)?;
                pass.end().map_or(Ok(()), &mut *take)?;
            }
            Event::End(_) => pass.end().map_or(Ok(()), &mut *take)?,
            Event::Text(raw) => {
                if let Some(cut) = memchr::memmem::find(raw.as_bytes(), b"]]>") {
                    let what = "]]> i text".to_owned();
                    return Err(XmlError::Syntax { at: at + cut, what }.into());
                }
                pass.text(&raw.xml10_content(), at, false)?;
            }
            Event::CData(raw) => pass.text(&raw.xml10_content(), at, true)?,
            Event::GeneralRef(reference) => {
                let character = resolve(&reference, at)?;
                pass.text(character.encode_utf8(&mut [0; 4]), at, true)?;
            }
            Event::Comment(_) => {}
            Event::Decl(_) => {
                let end = offset(reader.buffer_position());
                if at != 0 || !is_declaration(text.get(at..end).unwrap_or_default()) {
                    return Err(XmlError::Instruction(at).into());
                }
            }
            Event::PI(_) => return Err(XmlError::Instruction(at).into()),
            Event::DocType(_) => return Err(XmlError::Doctype.into()),
            Event::Eof => break,
        }
    }
    if pass.depth > 0 || pass.outside.is_empty() {
        return Err(XmlError::Unfinished.into());
    }
    Ok(pass.outside)
}

#[derive(Default)]
struct Pass<'n> {
    names: &'n [&'n str],
    /// Elements that are open.
    depth: usize,
    row: Option<Row>,
    /// The depth of the row's own element.
    row_depth: usize,
    /// For each element open in the row, its place among the fields.
    open: Vec<usize>,
    outside: Vec<String>,
    namespace: Option<Arc<str>>,
}

impl Pass<'_> {
    fn start(
        &mut self,
        start: &BytesStart<'_>,
        resolver: &NamespaceResolver,
        at: usize,
    ) -> Result<(), XmlError> {
        if self.depth == 0 && !self.outside.is_empty() {
            return Err(XmlError::OutsideRoot(at));
        }
        if self.depth >= limits::XML_DEPTH_MAX {
            return Err(XmlError::Depth);
        }
        let raw = start.name();
        let (local, prefix) = raw.decompose();
        let prefix = prefix.map_or("", |it| it.into_inner());
        let local: &str = local.as_ref();
        check_name(prefix, local, at)?;
        if prefix == "xmlns" {
            return Err(XmlError::Namespace(at));
        }
        attributes(start, resolver, at)?;
        let namespace = match resolver.resolve_element(raw).0 {
            ResolveResult::Bound(namespace) => self.share(namespace.0),
            ResolveResult::Unbound => self.share(""),
            ResolveResult::Unknown(_) => return Err(XmlError::Namespace(at)),
        };
        self.depth += 1;
        let name = local.to_owned();
        match &mut self.row {
            Some(row) => {
                if row.fields.len() >= limits::XML_ELEMENTS_MAX {
                    return Err(XmlError::Elements);
                }
                self.open.push(row.fields.len());
                let depth = self.depth - self.row_depth;
                row.fields.push(Field { depth, namespace, name, text: String::new() });
            }
            None if self.depth > 1 && self.names.contains(&local) => {
                self.row_depth = self.depth;
                self.row = Some(Row { name, at, text: String::new(), fields: Vec::new() });
            }
            None => {
                if self.outside.len() >= limits::XML_ELEMENTS_MAX {
                    return Err(XmlError::Elements);
                }
                self.outside.push(name);
            }
        }
        Ok(())
    }

    /// The namespace as one text that all elements share.
    fn share(&mut self, namespace: &str) -> Arc<str> {
        match &self.namespace {
            Some(last) if **last == *namespace => Arc::clone(last),
            Some(_) | None => {
                let shared: Arc<str> = namespace.into();
                self.namespace = Some(Arc::clone(&shared));
                shared
            }
        }
    }

    /// The row that ends here, if one does.
    fn end(&mut self) -> Option<Row> {
        let depth = self.depth;
        self.depth = depth.saturating_sub(1);
        if self.row.is_some() && depth == self.row_depth {
            return self.row.take();
        }
        self.open.pop();
        None
    }

    fn text(&mut self, text: &str, at: usize, solid: bool) -> Result<(), XmlError> {
        if self.depth == 0 {
            let space = text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
            return if space && !solid { Ok(()) } else { Err(XmlError::OutsideRoot(at)) };
        }
        let Some(row) = &mut self.row else { return Ok(()) };
        match self.open.last().and_then(|it| row.fields.get_mut(*it)) {
            Some(field) => field.text.push_str(text),
            None => row.text.push_str(text),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<(Vec<Row>, Vec<String>), XmlError> {
        let mut found = Vec::new();
        let outside = each::<XmlError>(text, &["row", "end"], &mut |row| {
            found.push(row);
            Ok(())
        })?;
        Ok((found, outside))
    }

    #[test]
    fn each_row_comes_with_its_fields_and_what_is_outside_is_named() {
        let text = "<?xml version=\"1.0\"?><p:all xmlns:p=\"urn:p\"><end>now</end>\
                    <p:row><a>1 &lt; <![CDATA[2]]></a><b xmlns=\"urn:b\"><row>in</row></b></p:row>\
                    <!-- <row/> --><row/></p:all>";
        let (rows, outside) = rows(text).unwrap();
        assert_eq!(outside, ["all"]);
        let names: Vec<_> = rows.iter().map(|it| (it.name.as_str(), it.text.as_str())).collect();
        assert_eq!(names, [("end", "now"), ("row", ""), ("row", "")]);
        assert_eq!(rows[1].at, text.find("<p:row>").unwrap());
        let fields: Vec<_> = rows[1]
            .fields
            .iter()
            .map(|it| (it.depth, &*it.namespace, it.name.as_str(), it.text.as_str()))
            .collect();
        assert_eq!(
            fields,
            [(1, "", "a", "1 < 2"), (1, "urn:b", "b", ""), (2, "urn:b", "row", "in")]
        );
        assert_eq!(rows[1].text_of("a"), Some("1 < 2"));
        assert_eq!(rows[1].text_of("row"), None);
    }

    #[test]
    fn what_a_whole_document_may_not_hold_rows_may_not_either() {
        for text in [
            "",
            "<all><row></all>",
            "<all><row/>",
            "<all/><all/>",
            "<all/>x",
            "<!DOCTYPE all><all/>",
            "<all><?x y?></all>",
            "<all>&nbsp;</all>",
            "<all><p:row/></all>",
            "<all><row>\u{1}</row></all>",
            "<all><row a='1' a='2'/></all>",
            "<all>]]></all>",
        ] {
            assert!(rows(text).is_err(), "{text}");
        }
        let deep = "<row>".repeat(70) + &"</row>".repeat(70);
        assert_eq!(rows(&deep), Err(XmlError::Depth));
    }

    #[test]
    fn there_may_be_more_rows_than_elements_in_a_whole_document() {
        let text = format!("<all>{}</all>", "<row><a/></row>".repeat(limits::XML_ELEMENTS_MAX));
        assert_eq!(rows(&text).unwrap().0.len(), limits::XML_ELEMENTS_MAX);
        let one = format!("<all><row>{}</row></all>", "<a/>".repeat(limits::XML_ELEMENTS_MAX + 1));
        assert_eq!(rows(&one), Err(XmlError::Elements));
    }
}
