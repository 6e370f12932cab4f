//! Changing where a WSDL or schema points, with every other byte left as it is; and places in a package.

use std::ops::Range;

use crate::xml::{Document, XmlError};

/// A place that a file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Points<'a> {
    /// Where the service is called.
    Service,
    /// Another schema.
    Schema(&'a str),
}

/// `text` with what `other` gives in the place of what it points at; `None` leaves that as it is.
pub(super) fn pointing(
    text: &str,
    other: impl Fn(Points<'_>) -> Option<String>,
) -> Result<String, XmlError> {
    let document = Document::parse(text)?;
    let mut out = String::with_capacity(text.len() + 512);
    let mut done = 0;
    for element in document.elements() {
        let (name, points) = match element.name() {
            "address" => ("location", element.attribute(None, "location").map(|_| Points::Service)),
            "import" | "include" | "redefine" => {
                let at = element.attribute(None, "schemaLocation");
                ("schemaLocation", at.map(Points::Schema))
            }
            _ => continue,
        };
        let tag = element.tag();
        let value = points.and_then(&other).zip(text.get(tag.clone()).and_then(|it| raw(it, name)));
        if let Some((new, place)) = value {
            out.push_str(text.get(done..tag.start + place.start).unwrap_or_default());
            out.push_str(&escaped(&new));
            done = tag.start + place.end;
        }
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Ok(out)
}

/// Where in a start tag, which has been read before, the value of an attribute stands.
fn raw(tag: &str, wanted: &str) -> Option<Range<usize>> {
    let mut at = tag.find(|it: char| it.is_ascii_whitespace())?;
    loop {
        let rest = tag.get(at..)?;
        let (name, _) = rest.split_once('=')?;
        let quote = at + name.len() + 1 + tag.get(at + name.len() + 1..)?.find(['"', '\''])?;
        let mark = tag.get(quote..)?.chars().next()?;
        let start = quote + 1;
        let end = start + tag.get(start..)?.find(mark)?;
        if name.trim() == wanted {
            return Some(start..end);
        }
        at = end + 1;
    }
}

/// `location` seen from `folder`, without `.` and `..`. `None` where it leads out of the package, or
/// is an address.
pub(super) fn resolved(folder: &str, location: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    for part in location.split('/') {
        match part {
            "" => return None,
            "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// `file` as it is named from `folder`.
pub(super) fn relative(folder: &str, file: &str) -> String {
    let here: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    let there: Vec<&str> = file.split('/').collect();
    let same = here.iter().zip(&there).take_while(|(a, b)| a == b).count();
    let up = here.iter().skip(same).map(|_| "..");
    up.chain(there.into_iter().skip(same)).collect::<Vec<_>>().join("/")
}

/// The folder that a file is in.
pub(super) fn folder(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// As the value of an XML attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_points_somewhere_is_changed_however_it_is_written() {
        let text = "<?xml version='1.0'?>\n<w:d xmlns:w='w' xmlns:x='x' xmlns:s='s'>\
            <!-- <x:import schemaLocation=\"no\"/> --><x:import  namespace='a>b=c'\n \
            schemaLocation = 'a.xsd' /><x:include schemaLocation=\"b&amp;.xsd\"/>\
            <x:import namespace=\"n\"/><s:address x:location='no' location='old'/>\
            <x:element schemaLocation='no'/></w:d>";
        let other = |points: Points<'_>| match points {
            Points::Service => Some("it's <here>".to_owned()),
            Points::Schema("a.xsd") => Some("new".to_owned()),
            Points::Schema(other) => {
                assert_eq!(other, "b&.xsd");
                None
            }
        };
        let expected =
            text.replace("'a.xsd'", "'new'").replace("'old'", "'it&apos;s &lt;here&gt;'");
        assert_eq!(pointing(text, other).unwrap(), expected);
        assert!(pointing("<!DOCTYPE a><a/>", |_| None).is_err());
    }

    #[test]
    fn a_place_is_found_from_another_and_never_outside() {
        assert_eq!(resolved("a/b", "../c/./d.xsd").as_deref(), Some("a/c/d.xsd"));
        for out in ["../../../x", "/etc/passwd", "http://a/b.xsd", ""] {
            assert_eq!(resolved("a/b", out), None, "{out}");
        }
        assert_eq!(relative("a/b", "a/c/d.xsd"), "../c/d.xsd");
        assert_eq!(relative("a/b", "a/b/d.xsd"), "d.xsd");
        assert_eq!(relative("", "d.xsd"), "d.xsd");
    }
}
