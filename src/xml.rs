//! XML from strangers: one strict pass over a bounded document, and a tree with which it is decoded.
//!
//! quick-xml splits the text and resolves namespaces; what it does not check is checked here: legal
//! characters and names, the five predefined entities and no others, one root and nothing beside it,
//! no DTD, no processing instructions (SOAP 1.1 section 3), depth and counts.

use std::ops::Range;

pub mod rows;
pub mod shape;
pub mod write;

mod parse;

pub use parse::{is_xml_char, is_xml_text};

/// The namespace of `xsi:type`, `xsi:nil` and `xsi:schemaLocation`.
pub const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// What `xmlns` itself is bound to.
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// Why a text is not a document that is read here. Offsets are bytes from the start of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Markup that is not XML.
    #[error("vid byte {at}: {what}")]
    Syntax {
        /// Where.
        at: usize,
        /// What is wrong with it, in Swedish.
        what: String,
    },
    /// A character that XML 1.0 does not have, raw or as a reference.
    #[error("otillåtet tecken vid byte {0}")]
    Character(usize),
    /// A name that is no XML name.
    #[error("otillåtet namn vid byte {0}")]
    Name(usize),
    /// An entity other than the five predefined.
    #[error("okänd entitet vid byte {0}")]
    Entity(usize),
    /// A prefix that is not declared, or a declaration that may not be.
    #[error("odeklarerat eller otillåtet prefix vid byte {0}")]
    Namespace(usize),
    /// The same attribute twice.
    #[error("samma attribut två gånger vid byte {0}")]
    DuplicateAttribute(usize),
    /// More attributes than [`crate::limits::XML_ATTRIBUTES_MAX`] or namespace declarations than
    /// [`crate::limits::XML_NAMESPACES_MAX`].
    #[error("för många attribut vid byte {0}")]
    Attributes(usize),
    /// More elements than [`crate::limits::XML_ELEMENTS_MAX`].
    #[error("fler än {} element", crate::limits::XML_ELEMENTS_MAX)]
    Elements,
    /// Deeper than [`crate::limits::XML_DEPTH_MAX`].
    #[error("elementen är nästlade djupare än {} nivåer", crate::limits::XML_DEPTH_MAX)]
    Depth,
    /// A document type declaration.
    #[error("DOCTYPE är inte tillåtet")]
    Doctype,
    /// A processing instruction, or an XML declaration that is not first.
    #[error("processinstruktion vid byte {0}")]
    Instruction(usize),
    /// Text or a second element beside the root.
    #[error("innehåll utanför rotelementet vid byte {0}")]
    OutsideRoot(usize),
    /// No root element, or it has no end.
    #[error("rotelementet saknas eller är inte avslutat")]
    Unfinished,
}

/// A whole, screened document.
#[derive(Debug)]
pub struct Document {
    /// In document order; the first is the root.
    records: Vec<Record>,
    /// Each namespace once.
    namespaces: Vec<String>,
    root: Record,
}

#[derive(Debug, Clone, Default)]
struct Record {
    parent: Option<usize>,
    first_child: Option<usize>,
    next: Option<usize>,
    prefix: String,
    name: String,
    namespace: Option<usize>,
    attributes: Vec<Attribute>,
    text: String,
    text_beside_space: bool,
    tag: Range<usize>,
    end: usize,
}

/// An attribute; namespace declarations are not among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// `None` for an attribute without prefix.
    pub namespace: Option<String>,
    /// Local name.
    pub name: String,
    /// References resolved, white space normalised.
    pub value: String,
}

/// An element of a document.
#[derive(Debug, Clone, Copy)]
pub struct Node<'d> {
    document: &'d Document,
    record: &'d Record,
}

impl Document {
    /// Screens `text` and reads it whole.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        parse::parse(text, false)
    }

    /// As [`Self::parse`], of a document that may end anywhere between two tags.
    pub fn parse_beginning(text: &str) -> Result<Self, XmlError> {
        parse::parse(text, true)
    }

    /// The root element.
    #[must_use]
    pub const fn root(&self) -> Node<'_> {
        Node { document: self, record: &self.root }
    }

    /// Every element, in document order.
    pub fn elements(&self) -> impl Iterator<Item = Node<'_>> {
        self.records.iter().map(|record| Node { document: self, record })
    }

    fn node(&self, at: Option<usize>) -> Option<Node<'_>> {
        let record = self.records.get(at?)?;
        Some(Node { document: self, record })
    }
}

impl<'d> Node<'d> {
    /// Local name.
    #[must_use]
    pub fn name(self) -> &'d str {
        &self.record.name
    }

    /// The prefix as written; empty for none.
    #[must_use]
    pub fn prefix(self) -> &'d str {
        &self.record.prefix
    }

    /// The namespace; empty for none.
    #[must_use]
    pub fn namespace(self) -> &'d str {
        let index = self.record.namespace;
        index.and_then(|at| self.document.namespaces.get(at)).map_or("", String::as_str)
    }

    /// Whether this is the element `name` in `namespace`.
    #[must_use]
    pub fn is(self, namespace: &str, name: &str) -> bool {
        self.record.name == name && self.namespace() == namespace
    }

    /// The element around this one.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        match self.record.parent {
            Some(0) => Some(self.document.root()),
            other => self.document.node(other),
        }
    }

    /// The elements directly inside, in order.
    pub fn children(self) -> impl Iterator<Item = Self> + 'd {
        let first = self.document.node(self.record.first_child);
        std::iter::successors(first, |it| it.document.node(it.record.next))
    }

    /// The first child `name` in `namespace`.
    #[must_use]
    pub fn child(self, namespace: &str, name: &str) -> Option<Self> {
        self.children().find(|it| it.is(namespace, name))
    }

    /// The text directly inside: references and CDATA resolved, comments left out, line ends as one
    /// LF, white space kept.
    #[must_use]
    pub fn text(self) -> &'d str {
        &self.record.text
    }

    /// Whether there is more than white space in [`Self::text`].
    #[must_use]
    pub const fn has_text(self) -> bool {
        self.record.text_beside_space
    }

    /// The attributes, namespace declarations left out.
    #[must_use]
    pub fn attributes(self) -> &'d [Attribute] {
        &self.record.attributes
    }

    /// The value of the attribute `name` in `namespace`; `None` as namespace is one without prefix.
    #[must_use]
    pub fn attribute(self, namespace: Option<&str>, name: &str) -> Option<&'d str> {
        let wanted = |it: &&Attribute| it.name == name && it.namespace.as_deref() == namespace;
        self.record.attributes.iter().find(wanted).map(|it| it.value.as_str())
    }

    /// The bytes of the start tag in the document's text.
    #[must_use]
    pub fn tag(self) -> Range<usize> {
        self.record.tag.clone()
    }

    /// The bytes of the whole element; up to the end of the text where it has no end.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.record.tag.start..self.record.end
    }

    /// Local names from the root's child `top` (left out) down to this element, joined by `/`; a
    /// repeated element has its number, from 1, as `attachment[2]`.
    #[must_use]
    pub fn path_below(self, top: Node<'_>) -> String {
        let mut steps = Vec::new();
        let mut at = self;
        while at.record.tag != top.record.tag {
            steps.push(at.step());
            match at.parent() {
                Some(parent) => at = parent,
                None => break,
            }
        }
        steps.reverse();
        steps.join("/")
    }

    fn step(self) -> String {
        let alike = self.parent().into_iter().flat_map(Self::children);
        let alike = alike.filter(|it| it.is(self.namespace(), self.name()));
        let (mut count, mut mine) = (0, 0);
        for it in alike {
            count += 1;
            if it.record.tag == self.record.tag {
                mine = count;
            }
        }
        if count > 1 { format!("{}[{mine}]", self.name()) } else { self.name().to_owned() }
    }
}

#[cfg(test)]
mod tests;
