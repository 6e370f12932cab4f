//! A case for machines: `schemas/export-1.xsd`.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event as Xml};

use super::{Filed, Told, Whole, told};
use crate::complaint::codes::CodeLists;
use crate::complaint::message::{Code, Ii};

/// The namespace of the export.
const NAMESPACE: &str = "urn:klagomal:export:1";

type Out = Writer<Vec<u8>>;

pub(super) fn xml(whole: &Whole, lists: &CodeLists) -> io::Result<Vec<u8>> {
    let mut out = Writer::new_with_indent(Vec::new(), b' ', 1);
    out.write_event(Xml::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let case = &whole.case;
    out.create_element("case").with_attribute(("xmlns", NAMESPACE)).write_inner_content(|out| {
        line(out, "number", case.number.as_str())?;
        id(out, "caseId", &case.id)?;
        out.create_element("receiver")
            .with_attribute(("hsaId", case.receiver.as_str()))
            .write_text_content(BytesText::new(&case.receiver_name))?;
        line(out, "county", &case.county)?;
        line(out, "opened", &case.opened.to_string())?;
        line(out, "status", case.status().name())?;
        if let Some(closed) = &case.closed {
            line(out, "closed", &closed.at.to_string())?;
        }
        line(out, "exported", &whole.at.to_string())?;
        complaint(out, whole, lists)?;
        whole.events.iter().try_for_each(|it| event(out, it))?;
        whole.files.iter().try_for_each(|it| file(out, it))
    })?;
    let mut bytes = out.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

fn complaint(out: &mut Out, whole: &Whole, lists: &CodeLists) -> io::Result<()> {
    let complaint = &whole.opened.complaint;
    out.create_element("complaint").write_inner_content(|out| {
        line(out, "eventDate", &complaint.event_date.to_string())?;
        some(out, "place", told::place(&whole.case, complaint).as_deref())?;
        line(out, "description", &complaint.description)?;
        some(out, "desiredOutcome", complaint.desired_outcome.as_deref())?;
        line(out, "replyWish", told::reply_wish(complaint))?;
        codes(out, "experiencedProblem", &complaint.experienced_problems, lists)?;
        let it = &complaint.complainant;
        out.create_element("complainant").write_inner_content(|out| {
            line(out, "relation", told::relation_text(it.relation))?;
            it.person_id.as_ref().map_or(Ok(()), |it| id(out, "personId", it))?;
            some(out, "name", it.name.as_deref())?;
            let protected = it.protected_identity.map(|it| it.to_string());
            some(out, "protectedIdentity", protected.as_deref())?;
            some(out, "phone", it.phone.as_deref())?;
            some(out, "email", it.email.as_deref())?;
            some(out, "address", it.address.as_deref())
        })?;
        let Some(patient) = &complaint.patient else { return Ok(()) };
        out.create_element("patient").write_inner_content(|out| {
            patient.person_id.as_ref().map_or(Ok(()), |it| id(out, "personId", it))?;
            some(out, "name", patient.name.as_deref())?;
            some(out, "birthYear", patient.birth_year.map(|it| it.to_string()).as_deref())
        })?;
        Ok(())
    })?;
    Ok(())
}

fn event(out: &mut Out, told: &Told) -> io::Result<()> {
    let (seq, at) = (told.seq.to_string(), told.at.to_string());
    let element = out.create_element("event");
    let element = element.with_attributes([("record", seq.as_str()), ("at", at.as_str())]);
    element.write_inner_content(|out| {
        line(out, "title", &told.title)?;
        some(out, "text", told.text.as_deref())
    })?;
    Ok(())
}

fn file(out: &mut Out, filed: &Filed) -> io::Result<()> {
    let (seq, bytes) = (filed.seq.to_string(), filed.file.bytes.to_string());
    let about = [
        ("record", seq.as_str()),
        ("path", filed.path.as_str()),
        ("mediaType", filed.file.media_type.as_str()),
        ("bytes", bytes.as_str()),
        ("sha256", filed.file.sha256.as_str()),
    ];
    let element = out.create_element("file").with_attributes(about);
    element.write_text_content(BytesText::new(&filed.file.file_name))?;
    Ok(())
}

fn codes(out: &mut Out, name: &str, codes: &[Code], lists: &CodeLists) -> io::Result<()> {
    for code in codes {
        let element = out.create_element(name);
        let element = element.with_attribute(("code", code.code.as_deref().unwrap_or_default()));
        element.write_text_content(BytesText::new(lists.label(code)))?;
    }
    Ok(())
}

fn id(out: &mut Out, name: &str, id: &Ii) -> io::Result<()> {
    let extension = id.extension.as_deref().unwrap_or_default();
    let about = [("root", id.root.as_str()), ("extension", extension)];
    out.create_element(name).with_attributes(about).write_empty()?;
    Ok(())
}

fn some(out: &mut Out, name: &str, text: Option<&str>) -> io::Result<()> {
    text.map_or(Ok(()), |text| line(out, name, text))
}

fn line(out: &mut Out, name: &str, text: &str) -> io::Result<()> {
    out.create_element(name).write_text_content(BytesText::new(text))?;
    Ok(())
}
