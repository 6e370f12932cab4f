//! The shape of a message: which elements stand where, as its schema says.
//!
//! A shape is checked whole before anything is decoded, so that "cannot be read" comes before
//! "breaks a rule". Sequences are strict; the last place of a type takes elements of other
//! namespaces (`xs:any namespace="##other"`).

use super::{Node, XSI};

/// What stands in an element.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Text and no elements.
    Text,
    /// Elements and no text.
    Fields(&'static Fields),
}

/// A complex type: a sequence.
#[derive(Debug)]
pub struct Fields {
    /// The namespace that its elements are in.
    pub namespace: &'static str,
    /// In order.
    pub items: &'static [Item],
    /// Whether elements of other namespaces may come last.
    pub any: bool,
}

/// One place in a sequence.
#[derive(Debug, Clone, Copy)]
pub enum Item {
    /// Exactly once.
    One(&'static str, Shape),
    /// At most once.
    Optional(&'static str, Shape),
    /// Any number of times; how many is a rule and not a matter of shape.
    Many(&'static str, Shape),
    /// At least once.
    Some(&'static str, Shape),
    /// Exactly one of these.
    Choice(&'static [(&'static str, Shape)]),
}

/// What is wrong with a message's shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct ShapeError {
    /// The element, as `ProcessComplaint/complaint/recipient`.
    pub path: String,
    /// What is wrong, in Swedish; it names elements and never content.
    pub what: String,
}

const MISPLACED: &str = "elementet är okänt, dubblerat eller på fel plats";

impl Item {
    fn choices(&self) -> Vec<&'static str> {
        match self {
            Self::One(name, _)
            | Self::Optional(name, _)
            | Self::Many(name, _)
            | Self::Some(name, _) => vec![name],
            Self::Choice(choices) => choices.iter().map(|(name, _)| *name).collect(),
        }
    }
}

impl Fields {
    /// Whether `node` belongs somewhere behind the place that holds `choices`.
    fn comes_after(&self, choices: &[(&str, Shape)], node: Node<'_>) -> bool {
        let Some((first, _)) = choices.first() else { return false };
        let behind = self.items.iter().skip_while(|item| !item.choices().contains(first)).skip(1);
        behind.flat_map(Item::choices).any(|name| node.is(self.namespace, name))
    }
}

/// Checks that `node`, whose own name has been looked at, has `shape` all the way down.
pub fn check(node: Node<'_>, shape: Shape) -> Result<(), ShapeError> {
    Checker { top: node }.check(node, shape)
}

struct Checker<'d> {
    top: Node<'d>,
}

impl Checker<'_> {
    fn check(&self, node: Node<'_>, shape: Shape) -> Result<(), ShapeError> {
        match shape {
            Shape::Text => {
                self.attributes(node, node.namespace())?;
                match node.children().next() {
                    Some(child) => Err(self.error(child, "elementet får inte stå här")),
                    None => Ok(()),
                }
            }
            Shape::Fields(fields) => {
                self.attributes(node, fields.namespace)?;
                if node.has_text() {
                    return Err(self.error(node, "text där bara element får stå"));
                }
                self.sequence(node, fields)
            }
        }
    }

    fn sequence(&self, node: Node<'_>, fields: &Fields) -> Result<(), ShapeError> {
        let mut rest = node.children().peekable();
        let namespace = fields.namespace;
        for item in fields.items {
            let (choices, at_least, at_most): (&[(&str, Shape)], usize, usize) = match item {
                Item::One(name, shape) => (&[(*name, *shape)], 1, 1),
                Item::Optional(name, shape) => (&[(*name, *shape)], 0, 1),
                Item::Many(name, shape) => (&[(*name, *shape)], 0, usize::MAX),
                Item::Some(name, shape) => (&[(*name, *shape)], 1, usize::MAX),
                Item::Choice(choices) => (choices, 1, 1),
            };
            let mut met = 0;
            while met < at_most
                && let Some(next) = rest.peek().copied()
                && let Some((_, shape)) = choices.iter().find(|(name, _)| next.is(namespace, name))
            {
                self.check(next, *shape)?;
                rest.next();
                met += 1;
            }
            if met < at_least {
                return Err(self.missing(node, fields, choices, rest.peek().copied()));
            }
        }
        for extra in rest {
            if !fields.any || extra.namespace().is_empty() || extra.namespace() == namespace {
                return Err(self.error(extra, MISPLACED));
            }
        }
        Ok(())
    }

    /// `found` stands where one of `choices` should.
    fn missing(
        &self,
        node: Node<'_>,
        fields: &Fields,
        choices: &[(&str, Shape)],
        found: Option<Node<'_>>,
    ) -> ShapeError {
        let named = |next: Node<'_>| choices.iter().any(|(name, _)| *name == next.name());
        let before = match found {
            Some(next) if named(next) => return self.error(next, "elementet har fel namnrymd"),
            Some(next) if !fields.comes_after(choices, next) => {
                return self.error(next, MISPLACED);
            }
            Some(next) => format!(" före {}", next.name()),
            None => String::new(),
        };
        match choices {
            [(name, _)] => {
                let mut error = self.error(node, &format!("elementet saknas{before}"));
                error.path.push('/');
                error.path.push_str(name);
                error
            }
            several => {
                let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
                self.error(node, &format!("elementet {} saknas{before}", names.join(" | ")))
            }
        }
    }

    fn attributes(&self, node: Node<'_>, own: &str) -> Result<(), ShapeError> {
        for attribute in node.attributes() {
            let foreign = attribute.namespace.as_deref().is_some_and(|it| it == XSI || it != own);
            if !foreign {
                let what = format!("attributet {} är okänt", attribute.name);
                return Err(self.error(node, &what));
            }
        }
        Ok(())
    }

    fn error(&self, node: Node<'_>, what: &str) -> ShapeError {
        let below = node.path_below(self.top);
        let slash = if below.is_empty() { "" } else { "/" };
        ShapeError { path: format!("{}{slash}{below}", self.top.name()), what: what.to_owned() }
    }
}
