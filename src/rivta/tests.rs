//! The contracts: what is written is read back, and each rule is held on both sides of its line.

use std::fmt::Write as _;

use super::*;
use crate::clock::{from_riv_date, from_riv_stamp};
use crate::complaint::message::*;
use crate::id::HsaId;
use crate::soap::{FaultCode, MessageReader, Outline, Part, Piece};

mod both_ways;
mod rules;

/// A test person from the Swedish Tax Agency's list of numbers never given to anyone.
const PERSON: &str = "189001019802";

fn hsa(id: &str) -> HsaId {
    HsaId::parse(id).unwrap()
}

fn ii(root: &str, extension: &str) -> Ii {
    Ii { root: root.to_owned(), extension: Some(extension.to_owned()) }
}

fn unit(id: &str, name: &str) -> OrgUnit {
    OrgUnit {
        hsa_id: hsa(id),
        name: Some(name.to_owned()),
        telecom: None,
        email: None,
        address: None,
        location: None,
    }
}

fn code(code: &str) -> Code {
    Code {
        code: Some(code.to_owned()),
        code_system: Some("1.2.752.129.2.2.1.1".to_owned()),
        display_name: Some("påhittad".to_owned()),
        ..Code::default()
    }
}

fn attachment(id: &str, media_type: MediaType) -> Attachment {
    Attachment {
        id: id.to_owned(),
        file_name: format!("bild {id}.x"),
        media_type,
        sha256: id.repeat(8),
        bytes: 9,
    }
}

fn complaint() -> Complaint {
    Complaint {
        submitted: from_riv_stamp("20260701120000").unwrap(),
        recipient: Recipient {
            kind: RecipientKind::CareProvider,
            unit: unit("SE0000000000-VC1", "Testvårdcentralen Exempelstad"),
            county: "99".to_owned(),
        },
        place: Some(Place::Unit(unit("SE0000000000-VC1", "Testvårdcentralen Exempelstad"))),
        event_date: from_riv_date("20260630").unwrap(),
        description: "PÅHITTAT ÄRENDE <1>\r\n & mer".to_owned(),
        desired_outcome: Some("En ursäkt".to_owned()),
        complainant: Complainant {
            person_id: Some(ii(person::PERSONNUMMER, PERSON)),
            name: Some("Test Testsson".to_owned()),
            relation: Relation::Patient,
            authorization: Some(false),
            protected_identity: Some(false),
            phone: Some("070-174 06 05".to_owned()),
            email: Some("test@example.se".to_owned()),
            address: Some("Testgatan 1".to_owned()),
        },
        patient: Some(Patient {
            person_id: Some(ii(person::SAMORDNINGSNUMMER, "202601612381")),
            name: Some("Test".to_owned()),
            birth_year: Some(1990),
            sex: Some(code("1")),
        }),
        reply_wish: ReplyWish { wanted: true, channel: Some(ReplyChannel::Inbox) },
        experienced_problems: vec![code("a"), code("b")],
        consent_to_forward: Some(true),
        attachments: vec![attachment("1", MediaType::Pdf), attachment("2", MediaType::Png)],
        language: Some(code("sv")),
        remarks: Vec::new(),
    }
}

fn from_complainant(content: FromComplainant) -> ProcessComplaint {
    ProcessComplaint {
        message_id: ii("1.2.752.129.2.1.2.1", "m-1"),
        sent: from_riv_stamp("20260701120001").unwrap(),
        case_id: ii("1.2.752.129.2.1.2.1", "case-1"),
        content,
    }
}

fn from_handler(content: FromHandler) -> ProcessComplaintHandling {
    ProcessComplaintHandling {
        message_id: ii("1.2.752.129.2.1.2.1", "m-2"),
        sent: from_riv_stamp("20260702120001").unwrap(),
        case_id: Some(ii("1.2.752.129.2.1.2.1", "case-1")),
        handler: Actor {
            hsa_id: hsa("SE0000000000-HANDL"),
            name: Some("Handläggare Ett".to_owned()),
            title: None,
            unit: Some(unit("SE0000000000-VC2", "Testkliniken Exempelstad")),
        },
        content,
    }
}

fn classification() -> Classification {
    Classification {
        main_problems: vec![code("1")],
        sub_problems: vec![code("1.1"), code("1.2")],
        operational_area: code("3"),
    }
}

/// An outline as it goes on the wire, each file as nine bytes of text; and what is seen of the files.
fn on_the_wire(outline: &Outline) -> (String, Vec<FileSeen>) {
    let (mut text, mut files) = (String::new(), Vec::new());
    for piece in &outline.parts {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::File { sha256, bytes } => {
                text.push_str("aGVqaGVqaGVq");
                let media = match sha256.as_bytes().first() {
                    Some(b'1') => MediaType::Pdf,
                    Some(b'2') => MediaType::Png,
                    Some(b'3') => MediaType::Jpeg,
                    _ => MediaType::Gif,
                };
                files.push(FileSeen {
                    sha256: sha256.clone(),
                    bytes: *bytes,
                    media: Some(media),
                    broken: false,
                    too_large: false,
                });
            }
        }
    }
    assert_eq!(text.len() as u64, outline.content_length());
    (text, files)
}

fn skeleton_of(text: &str) -> Skeleton {
    let mut reader = MessageReader::new(None).unwrap();
    let parts = reader.push(text.as_bytes()).unwrap();
    assert!(!parts.iter().any(|part| matches!(part, Part::FileEnd { broken: Some(_) })));
    reader.finish().unwrap().1
}

fn read_text(text: &str, files: &[FileSeen]) -> Result<Reading, Rejection> {
    read(&skeleton_of(text), files)
}

fn address() -> HsaId {
    hsa("SE0000000000-VC1")
}
