//! What is written is read back the same.

use super::*;
use crate::rivta::patient_portal_v1 as portal;
use crate::rivta::patient_portal_v1::{InboxMessage, InboxResult, Notification, SendingUnit};
use proptest::prelude::{Just, Strategy, any, prop_oneof};

fn complaint_back(message: &ProcessComplaint) -> ProcessComplaint {
    let (text, files) = on_the_wire(&process_complaint_v1::write(message, &address()));
    let reading = read_text(&text, &files).unwrap();
    assert_eq!(reading.remarks, []);
    match reading.request {
        Request::Complaint(message) => message,
        Request::Handling(_) => panic!("the other contract"),
    }
}

fn handling_back(message: &ProcessComplaintHandling) -> ProcessComplaintHandling {
    let outline = process_complaint_handling_v1::write(message, &address());
    let (text, files) = on_the_wire(&outline);
    let reading = read_text(&text, &files).unwrap();
    assert_eq!(reading.remarks, []);
    match reading.request {
        Request::Handling(message) => *message,
        Request::Complaint(_) => panic!("the other contract"),
    }
}

#[test]
fn everything_a_complainant_sends_is_read_back() {
    let small = Complaint {
        place: None,
        desired_outcome: None,
        patient: None,
        reply_wish: ReplyWish { wanted: false, channel: None },
        experienced_problems: Vec::new(),
        consent_to_forward: None,
        attachments: Vec::new(),
        language: None,
        ..complaint()
    };
    let to_committee = Complaint {
        recipient: Recipient {
            kind: RecipientKind::PatientAdvisoryCommittee,
            ..complaint().recipient
        },
        place: Some(Place::FreeText("  i ambulansen".to_owned())),
        ..complaint()
    };
    let attachments = vec![attachment("3", MediaType::Jpeg), attachment("4", MediaType::Gif)];
    let supplement = |in_reply_to| Supplement {
        in_reply_to,
        text: " PÅHITTAT ÄRENDE\n ".to_owned(),
        attachments: attachments.clone(),
    };
    for content in [
        FromComplainant::Complaint(Box::new(complaint())),
        FromComplainant::Complaint(Box::new(small)),
        FromComplainant::Complaint(Box::new(to_committee)),
        FromComplainant::Supplement(supplement(Some("q-1".to_owned()))),
        FromComplainant::Supplement(supplement(None)),
        FromComplainant::Withdrawal(Withdrawal { reason: Some("ångrat mig".to_owned()) }),
        FromComplainant::Withdrawal(Withdrawal { reason: None }),
    ] {
        let message = from_complainant(content);
        assert_eq!(complaint_back(&message), message);
    }
}

#[test]
fn everything_a_handler_sends_is_read_back() {
    let date = from_riv_date("20260801");
    let text = || "PÅHITTAT ÄRENDE".to_owned();
    let reply = Reply {
        explanation: text(),
        measures: Some(text()),
        text: None,
        attachments: (0..10).map(|_| attachment("1", MediaType::Pdf)).collect(),
        classification: classification(),
    };
    for content in [
        FromHandler::Registration(Box::new(Registration {
            origin: Origin::WebForm,
            complaint: complaint(),
        })),
        FromHandler::Acknowledgement(Acknowledgement {
            received: from_riv_stamp("20260102030405").unwrap(),
            expected_reply: date,
            text: Some(text()),
        }),
        FromHandler::PartialReply(PartialReply {
            text: text(),
            standard_reply: Some(code("s1")),
            attachments: vec![attachment("2", MediaType::Png)],
        }),
        FromHandler::Question(Question {
            question_id: "q-1".to_owned(),
            text: text(),
            attachments_allowed: true,
            answer_before: date,
        }),
        FromHandler::Reply(reply),
        FromHandler::Transfer(Transfer {
            to_unit: unit("SE0000000000-VC3", "Testmottagningen Exempelby"),
            reason: text(),
        }),
        FromHandler::PlaceCorrection(PlaceCorrection {
            unit: unit("SE0000000000-VC2", "Testkliniken Exempelstad"),
        }),
        FromHandler::Closure(Closure {
            reason: ClosureReason::NoReplyWanted,
            classification: classification(),
        }),
    ] {
        let message = from_handler(content);
        assert_eq!(handling_back(&message), message);
    }
}

#[test]
fn a_registration_may_be_anonymous_and_without_a_case() {
    let mut complaint = complaint();
    complaint.complainant.person_id = None;
    complaint.complainant.name = None;
    let registration = Registration { origin: Origin::Phone, complaint };
    let mut message = from_handler(FromHandler::Registration(Box::new(registration)));
    message.case_id = None;
    assert_eq!(handling_back(&message), message);
}

#[test]
fn the_words_on_the_wire_are_the_words_in_the_journal() {
    // The same enumeration is written twice: by serde in the journal, by table on the wire.
    for reason in ["ANSWERED_OTHERWISE", "REFERRED", "NO_REPLY_WANTED", "SECRECY", "WITHDRAWN"] {
        let value: ClosureReason = serde_json::from_value(reason.into()).unwrap();
        let content =
            FromHandler::Closure(Closure { reason: value, classification: classification() });
        let outline = process_complaint_handling_v1::write(&from_handler(content), &address());
        assert!(on_the_wire(&outline).0.contains(&format!("<c:reason>{reason}</c:reason>")));
    }
    for origin in ["PHONE", "LETTER", "EMAIL", "VISIT", "WEB_FORM", "IVO", "OTHER"] {
        let value: Origin = serde_json::from_value(origin.into()).unwrap();
        let content = Registration { origin: value, complaint: complaint() };
        let message = from_handler(FromHandler::Registration(Box::new(content)));
        assert_eq!(handling_back(&message), message);
        let outline = process_complaint_handling_v1::write(&message, &address());
        assert!(on_the_wire(&outline).0.contains(&format!("<c:origin>{origin}</c:origin>")));
    }
    for channel in ["INBOX", "PHONE", "LETTER", "EMAIL"] {
        let value: ReplyChannel = serde_json::from_value(channel.into()).unwrap();
        let mut complaint = complaint();
        complaint.reply_wish.channel = Some(value);
        let message = from_complainant(FromComplainant::Complaint(Box::new(complaint)));
        let (text, _) = on_the_wire(&process_complaint_v1::write(&message, &address()));
        assert!(text.contains(&format!("<c:channel>{channel}</c:channel>")));
    }
    for relation in ["PATIENT", "CLOSE_RELATIVE", "GUARDIAN", "REPRESENTATIVE"] {
        let mut complaint = complaint();
        complaint.complainant.relation = serde_json::from_value(relation.into()).unwrap();
        let message = from_complainant(FromComplainant::Complaint(Box::new(complaint)));
        let (text, _) = on_the_wire(&process_complaint_v1::write(&message, &address()));
        assert!(text.contains(&format!("<c:relation>{relation}</c:relation>")));
    }
}

fn answer() -> Answer {
    Answer {
        result_code: ResultCode::Info,
        error_code: None,
        subcode: Some("ALREADY_RECEIVED".to_owned()),
        log_id: "0190a0b0-0000-7000-8000-000000000001".to_owned(),
        message: Some("Redan mottaget\r\n<&>".to_owned()),
        case_id: Some(ii("1.2.752.129.2.1.2.1", "case-1")),
        registration_number: Some("99-2026-000001".to_owned()),
        received: from_riv_stamp("20260701120002"),
    }
}

#[test]
fn an_answer_is_one_line_with_its_parts_in_order() {
    expect_test::expect![[r#"<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><r:ProcessComplaintResponse xmlns:r="urn:klagomal:supportprocess:patientsafety:complaint:ProcessComplaintResponder:1" xmlns:c="urn:klagomal:supportprocess:patientsafety:complaint:1"><r:result><c:resultCode>INFO</c:resultCode><c:subcode>ALREADY_RECEIVED</c:subcode><c:logId>0190a0b0-0000-7000-8000-000000000001</c:logId><c:message>Redan mottaget&#13;
&lt;&amp;&gt;</c:message></r:result><r:caseId><c:root>1.2.752.129.2.1.2.1</c:root><c:extension>case-1</c:extension></r:caseId><r:registrationNumber>99-2026-000001</r:registrationNumber><r:receivedTime>20260701120002</r:receivedTime></r:ProcessComplaintResponse></soapenv:Body></soapenv:Envelope>"#]]
    .assert_eq(&answer().write(Interaction::ProcessComplaint));
}

#[test]
fn an_answer_is_read_back_and_only_as_its_own_contract() {
    let error = Answer {
        result_code: ResultCode::Error,
        error_code: Some(ErrorCode::InvalidState),
        subcode: None,
        message: None,
        case_id: None,
        registration_number: None,
        received: None,
        ..answer()
    };
    let (to, back) = (Interaction::ProcessComplaint, Interaction::ProcessComplaintHandling);
    for interaction in [to, back] {
        for answer in [answer(), error.clone()] {
            let text = answer.write(interaction);
            assert_eq!(read_answer(interaction, text.as_bytes(), None), Ok(answer));
            let other = if interaction == to { back } else { to };
            assert!(matches!(read_answer(other, text.as_bytes(), None), Err(NotAnswer::Other(_))));
        }
    }
}

#[test]
fn what_is_no_answer_is_told_apart() {
    let read = |text: &str| read_answer(Interaction::ProcessComplaint, text.as_bytes(), None);
    let fault =
        soap::Fault { code: FaultCode::Server, string: "VP009 [x] fel".to_owned(), detail: None };
    match read(&fault.write()) {
        Err(NotAnswer::Fault(seen)) => assert_eq!(seen.vp, Some(9)),
        other => panic!("{other:?}"),
    }
    assert!(matches!(read(""), Err(NotAnswer::Unreadable(_))));
    assert!(matches!(read("<html/>"), Err(NotAnswer::Unreadable(_))));
    let good = answer().write(Interaction::ProcessComplaint);
    for (from, to) in [
        ("INFO", "FINE"),
        ("<c:logId>", "<c:logID>"),
        ("c:subcode", "c:errorCode"),
        ("20260701120002", "nyss"),
        ("<r:caseId>", "<c:x/><r:caseId>"),
    ] {
        let text = good
            .replace(from, to)
            .replace("</c:logId>", if from == "<c:logId>" { "</c:logID>" } else { "</c:logId>" });
        assert!(matches!(read(&text), Err(NotAnswer::Other(_))), "{to}");
    }
    let long = good.replace("Redan", &"å".repeat(crate::limits::ANSWER_BYTES_MAX / 2));
    assert_eq!(read(&long), Err(NotAnswer::Unreadable(soap::ReadError::Size)));
}

fn inbox_message() -> InboxMessage {
    InboxMessage {
        person: PERSON.to_owned(),
        unit: SendingUnit {
            id: hsa("SE0000000000-VC1"),
            name: "Testvårdcentralen".to_owned(),
            address: Some("Testgatan 1".to_owned()),
            postal_code: Some("999 99".to_owned()),
            postal_city: Some("Exempelstad".to_owned()),
            telephone: Some("08-465 004 00".to_owned()),
        },
        thread_id: Some("t-1".to_owned()),
        heading: Some("Svar <&>".to_owned()),
        text: "  PÅHITTAT ÄRENDE\n\nrad 2 ]]> \"x\"  ".to_owned(),
        notify: Some(true),
        source_system: Some("klagomal".to_owned()),
    }
}

#[test]
fn inbox_messages_are_read_back_by_the_other_side() {
    let full = inbox_message();
    let small = InboxMessage {
        unit: SendingUnit {
            address: None,
            postal_code: None,
            postal_city: None,
            telephone: None,
            ..inbox_message().unit
        },
        thread_id: None,
        heading: None,
        notify: None,
        source_system: None,
        ..inbox_message()
    };
    for message in [full, small] {
        let text = portal::write_message(&message, &hsa("SE0000000000-INKORG")).unwrap();
        assert_eq!(portal::read_message(&text), Ok(message));
    }
    let text = portal::write_is_active_user(PERSON, &hsa("SE0000000000-INKORG")).unwrap();
    assert_eq!(portal::read_is_active_user(&text), Ok(PERSON.to_owned()));
    let head = soap::envelope::read_head(&text).unwrap();
    assert_eq!(head.address, "SE0000000000-INKORG");
    assert_eq!(head.contract.as_str(), portal::IS_ACTIVE_USER);
}

#[test]
fn a_line_end_in_an_inbox_message_is_one_lf_and_an_illegal_character_is_replaced() {
    let message = InboxMessage { text: "a\r\nb\rc\u{1}".to_owned(), ..inbox_message() };
    let text = portal::write_message(&message, &hsa("SE0000000000-INKORG")).unwrap();
    assert_eq!(portal::read_message(&text).unwrap().text, "a\nb\nc\u{FFFD}");
}

#[test]
fn inbox_answers_are_read_back_by_the_other_side() {
    for (active, methods) in
        [(true, vec![Notification::Sms, Notification::Email]), (false, Vec::new())]
    {
        let status = portal::UserStatus { active, methods };
        let text = portal::write_user_status(&status).unwrap();
        assert_eq!(portal::read_user_status(text.as_bytes(), None), Ok(status));
    }
    let refused = InboxResult {
        thread_id: None,
        notified: Vec::new(),
        result_code: ResultCode::Error,
        result_text: Some(portal::NOT_ACTIVE.to_owned()),
    };
    let taken = InboxResult {
        thread_id: Some("t-1".to_owned()),
        notified: vec![Notification::Other],
        result_code: ResultCode::Ok,
        result_text: None,
    };
    for result in [refused, taken] {
        let text = portal::write_result(&result).unwrap();
        assert_eq!(portal::read_result(text.as_bytes(), None), Ok(result.clone()));
        assert!(portal::read_user_status(text.as_bytes(), None).is_err());
        let odd = text.replace("OK<", "YES<").replace("ERROR<", "YES<");
        assert!(portal::read_result(odd.as_bytes(), None).is_err());
        let strange = text.replace("Other", "Pigeon");
        assert!(portal::read_result(strange.as_bytes(), None).is_ok());
    }
    let fault = soap::Fault { code: FaultCode::Server, string: "x".to_owned(), detail: None };
    let read = portal::read_result(fault.write().as_bytes(), None);
    assert!(matches!(read, Err(NotAnswer::Fault(_))));
}

#[test]
fn an_inbox_request_is_held_to_its_schema() {
    let good = portal::write_message(&inbox_message(), &hsa("SE0000000000-INKORG")).unwrap();
    for (from, to) in [
        (PERSON, "19900101-2385"),
        (">true<", ">yes<"),
        ("SE0000000000-VC1", " "),
        ("unitName", "unitTitle"),
        ("patientportal:1\"", "patientportal:2\""),
        ("InboxResponder:1\"", "InboxResponder:2\""),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good);
        assert!(portal::read_message(&text).is_err(), "{to}");
    }
    assert!(portal::read_is_active_user(&good).is_err());
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{1,40}",
        "[ \r\n\t<>&'\"\\]a-cåäö🙂]{0,30}x",
        Just("]]>".to_owned()),
        any::<char>()
            .prop_filter("legal", |c| crate::xml::is_xml_char(*c))
            .prop_map(|c| format!("x{c}")),
    ]
    .prop_filter("something in it, all legal", |text| {
        !text.trim().is_empty() && crate::xml::is_xml_text(text)
    })
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_back(
        description in any_text(),
        outcome in proptest::option::of(any_text()),
        name in any_text(),
        seconds in 1_600_000_000_i64..1_900_000_000,
    ) {
        let mut sent = jiff::Timestamp::from_second(seconds).unwrap();
        // The second of the two hours in autumn cannot be written: read back it is the first.
        if from_riv_stamp(&crate::clock::to_riv_stamp(sent)) != Some(sent) {
            sent = from_riv_stamp("20260701120000").unwrap();
        }
        let mut complaint = complaint();
        complaint.description = description;
        complaint.desired_outcome = outcome;
        complaint.complainant.name = Some(name);
        let content = FromComplainant::Complaint(Box::new(complaint));
        let message = ProcessComplaint { sent, ..from_complainant(content) };
        proptest::prop_assert_eq!(complaint_back(&message), message);
    }

    #[test]
    fn any_answer_is_read_back(message in any_text(), number in "[A-Z0-9-]{1,20}") {
        let answer = Answer {
            message: Some(message),
            registration_number: Some(number),
            ..answer()
        };
        let interaction = Interaction::ProcessComplaintHandling;
        let text = answer.write(interaction);
        proptest::prop_assert_eq!(read_answer(interaction, text.as_bytes(), None), Ok(answer));
    }
}
