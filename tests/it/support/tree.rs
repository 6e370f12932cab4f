//! XML as a tree of names and texts, so that two documents can be compared whatever their prefixes.

use std::fmt::Write as _;

use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;

/// Stands in an expected answer for what differs from run to run.
const ANY: &str = "{{any}}";

/// An element.
#[derive(Debug, Clone, Default)]
pub struct Node {
    pub space: String,
    pub name: String,
    /// Its start tag's name and declarations as they stood.
    tag: String,
    declarations: String,
    /// Namespace, name, value; sorted; without declarations.
    pub attributes: Vec<(String, String, String)>,
    pub children: Vec<Self>,
    /// All its own text, references resolved.
    pub text: String,
}

impl Node {
    /// Reads a document.
    ///
    /// # Panics
    /// When it is not well-formed.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("an answer is UTF-8");
        Self::try_parse(text).unwrap_or_else(|why| panic!("{why} in:\n{text}"))
    }

    pub fn try_parse(text: &str) -> Result<Self, String> {
        let mut reader = NsReader::from_str(text);
        let mut open = vec![Self::default()];
        loop {
            let event = reader.read_event().map_err(|error| error.to_string())?;
            match event {
                Event::Start(start) => {
                    let node = element(&reader, &start)?;
                    open.push(node);
                }
                Event::Empty(start) => {
                    let node = element(&reader, &start)?;
                    open.last_mut().ok_or("nothing open")?.children.push(node);
                }
                Event::End(_) => {
                    let node = open.pop().ok_or("nothing open")?;
                    open.last_mut().ok_or("nothing open")?.children.push(node);
                }
                Event::Text(text) => {
                    let text = text.xml10_content();
                    open.last_mut().ok_or("nothing open")?.text.push_str(&text);
                }
                Event::CData(text) => {
                    let text = text.xml10_content();
                    open.last_mut().ok_or("nothing open")?.text.push_str(&text);
                }
                Event::GeneralRef(reference) => {
                    let text = resolve(&reference)?;
                    open.last_mut().ok_or("nothing open")?.text.push_str(&text);
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        match (open.pop(), open.is_empty()) {
            (Some(mut root), true) if root.children.len() == 1 => Ok(root.children.remove(0)),
            _ => Err("not one root, or cut off".to_owned()),
        }
    }

    /// The first descendant at a path of local names.
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('/')
            .try_fold(self, |node, name| node.children.iter().find(|child| child.name == name))
    }

    /// The first descendant called `name`, at any depth.
    pub fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(name))
    }

    /// The text of the first descendant called `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.find(name).map(|node| node.text.trim())
    }

    /// All text below it.
    pub fn all_text(&self) -> String {
        let mut all = self.text.clone();
        for child in &self.children {
            all.push(' ');
            all.push_str(&child.all_text());
        }
        all
    }

    /// The element in the body of an envelope.
    pub fn payload(&self) -> &Self {
        let body = self.at("Body").unwrap_or_else(|| panic!("no Body in {self:?}"));
        assert_eq!(body.children.len(), 1, "one element in the Body: {body:?}");
        &body.children[0]
    }

    /// Puts `{{any}}` for the texts of elements called so.
    pub fn veil(&mut self, names: &[&str]) {
        if names.contains(&self.name.as_str()) {
            self.children.clear();
            ANY.clone_into(&mut self.text);
        }
        for child in &mut self.children {
            child.veil(names);
        }
    }

    /// Where `self`, as expected, differs from `found`. White space between elements is nothing.
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut out = Vec::new();
        self.compare(found, &self.name, &mut out);
        out
    }

    fn compare(&self, found: &Self, path: &str, out: &mut Vec<String>) {
        if (&self.space, &self.name) != (&found.space, &found.name) {
            out.push(format!(
                "{path}: expected {{{}}}{}, found {{{}}}{}",
                self.space, self.name, found.space, found.name
            ));
            return;
        }
        if self.attributes != found.attributes {
            out.push(format!(
                "{path}: attributes {:?}, found {:?}",
                self.attributes, found.attributes
            ));
        }
        if self.text == ANY {
            if found.all_text().trim().is_empty() {
                out.push(format!("{path}: something was expected, found nothing"));
            }
            return;
        }
        let (ours, theirs) = (self.own_text(), found.own_text());
        if ours != theirs {
            out.push(format!("{path}: expected {ours:?}, found {theirs:?}"));
        }
        let names =
            |node: &Self| node.children.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        if self.children.len() != found.children.len() {
            out.push(format!("{path}: expected {:?}, found {:?}", names(self), names(found)));
            return;
        }
        for (ours, theirs) in self.children.iter().zip(&found.children) {
            ours.compare(theirs, &format!("{path}/{}", ours.name), out);
        }
    }

    fn own_text(&self) -> &str {
        if self.children.is_empty() { &self.text } else { self.text.trim() }
    }

    /// The element as a document of its own, its texts kept as they are.
    pub fn document(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write(&mut out, None);
        out
    }

    fn write(&self, out: &mut String, above: Option<&str>) {
        write!(out, "<{}", self.name).unwrap();
        if above != Some(&self.space) {
            write!(out, " xmlns=\"{}\"", escape(&self.space)).unwrap();
        }
        for (at, (space, name, value)) in self.attributes.iter().enumerate() {
            let (space, value) = (escape(space), escape(value));
            if space.is_empty() {
                write!(out, " {name}=\"{value}\"").unwrap();
            } else {
                write!(out, " xmlns:a{at}=\"{space}\" a{at}:{name}=\"{value}\"").unwrap();
            }
        }
        write!(out, ">{}", escape(&self.text)).unwrap();
        for child in &self.children {
            child.write(out, Some(&self.space));
        }
        write!(out, "</{}>", self.name).unwrap();
    }

    /// A whole document for people: a line each, its own prefixes. It has no attributes.
    pub fn pretty(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.indent(&mut out, 0);
        out
    }

    fn indent(&self, out: &mut String, depth: usize) {
        assert!(self.attributes.is_empty(), "{self:?}");
        let (pad, tag, text) = ("  ".repeat(depth), &self.tag, escape(self.own_text()));
        write!(out, "{pad}<{tag}{}", self.declarations).unwrap();
        if self.children.is_empty() {
            if text.is_empty() {
                out.push_str("/>\n");
            } else {
                writeln!(out, ">{text}</{tag}>").unwrap();
            }
            return;
        }
        out.push_str(">\n");
        for child in &self.children {
            child.indent(out, depth + 1);
        }
        writeln!(out, "{pad}</{tag}>").unwrap();
    }
}

fn element(
    reader: &NsReader<&[u8]>,
    start: &quick_xml::events::BytesStart<'_>,
) -> Result<Node, String> {
    let (space, local) = reader.resolver().resolve_element(start.name());
    let (mut attributes, mut declarations) = (Vec::new(), String::new());
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.key.as_namespace_binding().is_some() {
            write!(declarations, " {}=\"{}\"", attribute.key.as_ref(), attribute.value).unwrap();
            continue;
        }
        let (space, local) = reader.resolver().resolve_attribute(attribute.key);
        let value = attribute.value.clone().into_owned();
        attributes.push((bound(space)?, local.as_ref().to_owned(), value));
    }
    attributes.sort();
    Ok(Node {
        space: bound(space)?,
        name: local.as_ref().to_owned(),
        tag: start.name().as_ref().to_owned(),
        declarations,
        attributes,
        ..Node::default()
    })
}

fn bound(space: ResolveResult<'_>) -> Result<String, String> {
    match space {
        ResolveResult::Bound(space) => Ok(space.as_ref().to_owned()),
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Unknown(prefix) => Err(format!("undeclared prefix {prefix}")),
    }
}

fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Result<String, String> {
    if let Some(c) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(c.to_string());
    }
    match reference.xml10_content().as_ref() {
        "amp" => Ok("&".to_owned()),
        "lt" => Ok("<".to_owned()),
        "gt" => Ok(">".to_owned()),
        "quot" => Ok("\"".to_owned()),
        "apos" => Ok("'".to_owned()),
        other => Err(format!("entity {other}")),
    }
}

/// Text that stands in an element or attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            c => out.push(c),
        }
    }
    out
}
