//! Envelopes from files: what they are, and the same message under new ids.

use std::ops::Range;

use uuid::Uuid;

use super::sample;
use crate::rivta::Interaction;
use crate::soap::{Head, MessageReader, ReadError, Skeleton, body_element};
use crate::xml::write::push_text;
use crate::xml::{Document, Node};

/// Why an envelope cannot be given new ids.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Only texts are changed here, and only in UTF-8.
    #[error("the envelope is not UTF-8, so its ids cannot be replaced; send it as it is")]
    NotUtf8,
    /// It is no message.
    #[error("the envelope cannot be read, so its ids cannot be replaced; send it as it is")]
    Unreadable(#[from] ReadError),
    /// Of another contract.
    #[error("ids are replaced in ProcessComplaint and ProcessComplaintHandling; this is {0}")]
    Other(String),
    /// The element is not there, or has nothing in it.
    #[error("the envelope has no {0} with content to replace")]
    NoId(&'static str),
}

/// An envelope under new ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The envelope, all else byte for byte the same.
    pub envelope: String,
    /// The new messageId: its extension where the envelope had one, else its root.
    pub message_id: String,
    /// The new caseId, likewise; where the envelope had one.
    pub case_id: Option<String>,
}

/// What the head of an envelope says, where it can be read.
#[must_use]
pub fn head(envelope: &[u8]) -> Option<Head> {
    let mut reader = MessageReader::head_only(None).ok()?;
    reader.push(envelope).ok()?;
    reader.head().cloned()
}

/// `envelope` as a new message: of the case `case`, or of a new one.
///
/// # Errors
/// When it is not a UTF-8 envelope of one of the complaint contracts.
pub fn with_new_ids(envelope: &[u8], case: Option<&str>) -> Result<Renewed, EnvelopeError> {
    let text = std::str::from_utf8(envelope).map_err(|_| EnvelopeError::NotUtf8)?;
    let text = text.trim_start_matches('\u{feff}');
    let skeleton = skeleton(text)?;
    let document = Document::parse(&skeleton.text).map_err(ReadError::from)?;
    let body = body_element(&document)?;
    if Interaction::of(body.namespace(), body.name()).is_none() {
        return Err(EnvelopeError::Other(body.name().to_owned()));
    }
    // The ids stand before every file, so that places in the skeleton are places in the text.
    let place =
        |name| body.child(body.namespace(), name).and_then(|it| content(it, &skeleton.text));
    let message = place("messageId").ok_or(EnvelopeError::NoId("messageId"))?;
    let message_id = Uuid::new_v4().to_string();
    let mut changes = vec![(message, message_id.clone())];
    let mut case_id = None;
    if let Some(found) = place("caseId") {
        let new = case.map(str::to_owned).or_else(|| sample::case_id().extension);
        let new = new.ok_or(EnvelopeError::NoId("caseId"))?;
        changes.push((found, new.clone()));
        case_id = Some(new);
    } else if case.is_some() {
        return Err(EnvelopeError::NoId("caseId"));
    }
    changes.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut envelope = text.to_owned();
    for (range, new) in changes {
        let mut escaped = String::new();
        push_text(&mut escaped, &new);
        envelope.replace_range(range, &escaped);
    }
    Ok(Renewed { envelope, message_id, case_id })
}

fn skeleton(text: &str) -> Result<Skeleton, ReadError> {
    let mut reader = MessageReader::new(None)?;
    reader.push(text.as_bytes())?;
    reader.finish().map(|(_, skeleton, _)| skeleton)
}

/// Where the content of an id's extension stands, or of its root where it has none.
fn content(id: Node<'_>, text: &str) -> Option<Range<usize>> {
    let named = |name: &str| id.children().find(|it| it.name() == name);
    let node = named("extension").or_else(|| named("root"))?;
    let (start, whole) = (node.tag().end, text.get(node.range())?);
    let end = node.range().start + whole.rfind("</")?;
    (start <= end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: &str =
        include_str!("../../fixtures/ProcessComplaint/five-attachments.request.xml");

    fn ids(envelope: &str) -> Vec<&str> {
        let parts = ["messageId>", "caseId>"].map(|name| envelope.split(name).nth(1).unwrap());
        // The last element in each: its extension, or its root.
        parts.map(|part| part.rsplit("</c:").nth(1).unwrap().rsplit('>').next().unwrap()).to_vec()
    }

    #[test]
    fn only_the_ids_are_replaced_and_they_are_new_every_time() {
        let one = with_new_ids(ENVELOPE.as_bytes(), None).unwrap();
        let two = with_new_ids(ENVELOPE.as_bytes(), None).unwrap();
        assert_ne!(one.message_id, two.message_id);
        assert_ne!(one.case_id, two.case_id);
        assert_eq!(ids(&one.envelope), [one.message_id.as_str(), one.case_id.as_deref().unwrap()]);
        let [message, case] = ids(ENVELOPE)[..] else { panic!("two ids") };
        let back = one.envelope.replace(&one.message_id, message);
        let back = back.replace(one.case_id.as_deref().unwrap(), case);
        assert_eq!(back, ENVELOPE);
    }

    #[test]
    fn a_case_can_be_gone_on_with() {
        let one = with_new_ids(ENVELOPE.as_bytes(), Some("a & b")).unwrap();
        assert_eq!(one.case_id.as_deref(), Some("a & b"));
        assert!(one.envelope.contains(">a &amp; b</"));
    }

    #[test]
    fn what_has_no_such_ids_is_refused_with_the_reason() {
        let refused = |bytes: &[u8]| with_new_ids(bytes, None).unwrap_err().to_string();
        assert!(refused(b"\xff\xfe<\0").contains("not UTF-8"));
        assert!(refused(b"{}").contains("cannot be read"));
        let other = ENVELOPE.replace("ProcessComplaint", "ProcessWeather");
        assert!(refused(other.as_bytes()).contains("this is ProcessWeather"));
    }

    #[test]
    fn the_head_is_read_where_there_is_one() {
        let found = head(ENVELOPE.as_bytes()).unwrap();
        assert_eq!(found.operation, "ProcessComplaint");
        assert_eq!(head(b"{}"), None);
    }
}
