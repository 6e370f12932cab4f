//! Each rule of the two contracts, on both sides of its line.

use super::person::Verdict;
use super::*;
use crate::limits;

const MALFORMED: &str = "VP015";

fn complaint_text() -> (String, Vec<FileSeen>) {
    let message = from_complainant(FromComplainant::Complaint(Box::new(complaint())));
    on_the_wire(&process_complaint_v1::write(&message, &address()))
}

fn handling_text(content: FromHandler) -> (String, Vec<FileSeen>) {
    on_the_wire(&process_complaint_handling_v1::write(&from_handler(content), &address()))
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in the message");
    text.replacen(from, to, 1)
}

/// What becomes of the complaint when a piece of it is another: the field, or VP015 and the path.
fn after(from: &str, to: &str) -> Result<Complaint, (String, String)> {
    let (text, files) = complaint_text();
    verdict(&replaced(&text, from, to), &files).map(complaint_in)
}

fn complaint_in(request: Request) -> Complaint {
    let Request::Complaint(message) = request else { panic!("the other contract") };
    let FromComplainant::Complaint(complaint) = message.content else { panic!("no complaint") };
    *complaint
}

fn verdict(text: &str, files: &[FileSeen]) -> Result<Request, (String, String)> {
    match read_text(text, files) {
        Ok(reading) => Ok(reading.request),
        Err(Rejection::Malformed { path, .. }) => Err((MALFORMED.to_owned(), path)),
        Err(Rejection::Invalid { field, rule }) => Err((field, rule)),
    }
}

fn field(result: Result<Complaint, (String, String)>) -> String {
    result.unwrap_err().0
}

fn remarked(from: &str, to: &str) -> (Complaint, Vec<String>) {
    let complaint = after(from, to).unwrap();
    let fields = complaint.remarks.iter().map(|it| it.field.clone()).collect();
    (complaint, fields)
}

const DOB: &str = "<c:personId><c:root>1.2.752.129.2.1.3.1</c:root><c:extension>189001019802</c:extension></c:personId>";

#[test]
fn what_cannot_be_read_is_malformed_and_its_path_is_named() {
    let c = |path: &str| Err((MALFORMED.to_owned(), format!("ProcessComplaint{path}")));
    let malformed = |from: &str, to: &str| after(from, to).map(|_| ());
    assert_eq!(malformed("<c:county>99</c:county>", ""), c("/complaint/recipient/county"));
    assert_eq!(malformed("<c:wanted>", "<c:wished/><c:wanted>"), c("/complaint/replyWish/wished"));
    assert_eq!(
        malformed("<c:county>", "<r:county>99</r:county><c:county>"),
        c("/complaint/recipient/county")
    );
    assert_eq!(
        malformed("</c:county>", "</c:county><c:county>99</c:county>"),
        c("/complaint/recipient/county[2]")
    );
    assert_eq!(malformed("<r:sentTime>20260701120001</r:sentTime>", ""), c("/sentTime"));
    assert_eq!(malformed("</r:complaint>", "</r:complaint><r:withdrawal/>"), c("/withdrawal"));
    assert_eq!(malformed("<c:kind>", "<c:kind a='1'>"), c("/complaint/recipient/kind"));
    assert_eq!(malformed("<c:kind>", "<c:kind><c:x/>"), c("/complaint/recipient/kind/x"));
    assert_eq!(malformed("<c:recipient>", "<c:recipient>x"), c("/complaint/recipient"));
    let core = "complaint:1\"";
    assert_eq!(malformed(core, "complaint:2\""), c("/messageId/root"));
}

#[test]
fn malformed_comes_before_invalid() {
    let (text, files) = complaint_text();
    let text = replaced(&text, "CARE_PROVIDER", "NOBODY");
    assert_eq!(verdict(&text, &files).unwrap_err().0, "complaint/recipient/kind");
    let text = replaced(&text, "<c:wanted>true</c:wanted>", "");
    assert_eq!(verdict(&text, &files).unwrap_err().0, MALFORMED);
}

#[test]
fn extensions_of_other_namespaces_are_taken_where_they_may_stand() {
    let extra = "<x:more xmlns:x='urn:x' a='1'><x:y>&lt;</x:y></x:more>";
    for at in ["</r:ProcessComplaint>", "</r:complaint>", "</c:recipient>", "</c:attachment>"] {
        let complaint = after(at, &format!("{extra}{at}")).unwrap();
        assert_eq!(complaint, super::complaint(), "{at}");
    }
    assert!(after("<c:kind>", "<c:kind xmlns:x='urn:x' x:a='1'>").is_ok());
    assert_eq!(field(after("<c:kind>", &format!("{extra}<c:kind>"))), MALFORMED);
    assert_eq!(field(after("</c:recipient>", "<more xmlns=''/></c:recipient>")), MALFORMED);
}

#[test]
fn another_contract_or_operation_is_malformed() {
    let (text, files) = complaint_text();
    for (from, to) in [
        ("ProcessComplaintResponder:1", "ProcessComplaintResponder:2"),
        ("r:ProcessComplaint ", "r:ProcessComplain "),
    ] {
        let text = text.replace(from, to).replace(
            "/r:ProcessComplaint>",
            if to.ends_with(' ') { "/r:ProcessComplain>" } else { "/r:ProcessComplaint>" },
        );
        assert_eq!(verdict(&text, &files).unwrap_err().0, MALFORMED, "{to}");
    }
}

#[test]
fn values_that_a_case_needs_are_invalid_when_wrong() {
    for (from, to, path) in [
        ("20260701120001", "20260230120001", "sentTime"),
        ("<c:extension>m-1<", "<c:extension> <", "messageId/extension"),
        ("<c:root>1.2.752.129.2.1.2.1<", "<c:root><", "messageId/root"),
        ("20260701120000", "2026-07-01", "complaint/submittedTime"),
        ("20260630", "20260631", "complaint/eventDate"),
        (">99<", ">9<", "complaint/recipient/county"),
        (">99<", ">AB<", "complaint/recipient/county"),
        (
            ">SE0000000000-VC1</c:orgUnitHSAId>",
            "></c:orgUnitHSAId>",
            "complaint/recipient/unit/orgUnitHSAId",
        ),
        (">PATIENT<", ">patient<", "complaint/complainant/relation"),
        (">INBOX<", ">PIGEON<", "complaint/replyWish/channel"),
        ("<c:channel>INBOX</c:channel>", "", "complaint/replyWish/channel"),
        (">true</c:wanted>", ">ja</c:wanted>", "complaint/replyWish/wanted"),
        (DOB, "", "complaint/complainant/personId"),
        ("189001019802", "189001019803", "complaint/complainant/personId"),
        ("<c:name>Test Testsson</c:name>", "", "complaint/complainant/name"),
        ("<c:name>Test Testsson</c:name>", "<c:name> </c:name>", "complaint/complainant/name"),
        ("application/pdf", "text/html", "complaint/attachment[1]/mediaType"),
        ("application/pdf", "image/png", "complaint/attachment[1]/value"),
        ("bild 1.x", "", "complaint/attachment[1]/fileName"),
    ] {
        // The address in the header is not the field.
        let (text, files) = complaint_text();
        let (header, body) = text.split_once("<soapenv:Body>").unwrap();
        let text = format!("{header}<soapenv:Body>{}", replaced(body, from, to));
        let (found, rule) = verdict(&text, &files).unwrap_err();
        assert_eq!(found, path, "{to}");
        assert!(
            !rule.is_empty() && (to.len() < 4 || !rule.contains(to) || to == "image/png"),
            "{rule}"
        );
    }
}

#[test]
fn white_space_around_ids_codes_and_times_is_trimmed_and_kept_in_texts() {
    let expected = complaint();
    for (from, to) in [
        (">20260630<", ">\n 20260630 <"),
        (">PATIENT<", "> PATIENT\t<"),
        (">true</c:wanted>", "> 1 </c:wanted>"),
        (">189001019802<", "> 189001019802 <"),
        (">application/pdf<", "> application/pdf <"),
        (">99<", "> 99 <"),
    ] {
        assert_eq!(after(from, to).unwrap(), expected, "{from}");
    }
    assert_eq!(after("En ursäkt", " En ursäkt ").unwrap().desired_outcome.unwrap(), " En ursäkt ");
}

#[test]
fn texts_have_lengths() {
    let description = "PÅHITTAT ÄRENDE &lt;1&gt;&#13;\n &amp; mer";
    let long = |count: usize| "å".repeat(count);
    assert!(after(description, &long(limits::TEXT_CHARS_MAX)).is_ok());
    for text in [long(limits::TEXT_CHARS_MAX + 1), String::new(), " \n".to_owned()] {
        assert_eq!(field(after(description, &text)), "complaint/description");
    }
    let (kept, fields) = remarked("En ursäkt", &long(limits::TEXT_CHARS_MAX + 1));
    assert_eq!(kept.desired_outcome.unwrap().chars().count(), limits::TEXT_CHARS_MAX + 1);
    assert_eq!(fields, ["desiredOutcome"]);
    assert_eq!(remarked("En ursäkt", &long(limits::TEXT_CHARS_MAX)).1, Vec::<String>::new());
    let (kept, fields) = remarked("Testgatan 1", &long(limits::LINE_CHARS_MAX + 1));
    assert_eq!(kept.complainant.address.unwrap().chars().count(), limits::LINE_CHARS_MAX + 1);
    assert_eq!(fields, ["complainant/address"]);
    assert_eq!(remarked("Testgatan 1", &long(limits::LINE_CHARS_MAX)).1, Vec::<String>::new());
    assert_eq!(
        field(after("bild 1.x", &long(limits::LINE_CHARS_MAX + 1))),
        "complaint/attachment[1]/fileName"
    );
}

#[test]
fn faults_of_form_in_optional_fields_become_remarks() {
    for (from, to, path) in [
        ("202601612381", "202601612393", "patient/personId"),
        (">1990<", ">90<", "patient/birthYear"),
        (">1990<", ">+990<", "patient/birthYear"),
        ("<c:sex><c:code>1</c:code>", "<c:sex>", "patient/sex"),
        ("070-174 06 05", "ring mig", "complainant/phone"),
        ("test@example.se", "test", "complainant/email"),
        (">false</c:authorization>", ">nej</c:authorization>", "complainant/authorization"),
        (
            ">false</c:protectedIdentity>",
            ">nej</c:protectedIdentity>",
            "complainant/protectedIdentity",
        ),
        (">true</c:consentToForward>", ">ja</c:consentToForward>", "consentToForward"),
        (
            "<c:experiencedProblem><c:code>a</c:code>",
            "<c:experiencedProblem>",
            "experiencedProblem[1]",
        ),
        ("<c:language><c:code>sv</c:code>", "<c:language>", "language"),
    ] {
        let (complaint, fields) = remarked(from, to);
        assert_eq!(fields, [path], "{to}");
        assert!(!complaint.remarks[0].rule.contains(to));
    }
    let kept = remarked("202601612381", "202601612393").0.patient.unwrap().person_id.unwrap();
    assert_eq!(kept.extension.as_deref(), Some("202601612393"));
    assert_eq!(
        remarked("070-174 06 05", "ring mig").0.complainant.phone.as_deref(),
        Some("ring mig")
    );
    assert_eq!(remarked(">1990<", ">90<").0.patient.unwrap().birth_year, None);
    // What cannot be read is taken for what does no harm.
    let of = |name: &str, value: &str| {
        remarked(&format!(">{value}</c:{name}>"), &format!(">x</c:{name}>")).0
    };
    assert_eq!(of("protectedIdentity", "false").complainant.protected_identity, Some(true));
    assert_eq!(of("authorization", "false").complainant.authorization, None);
    assert_eq!(of("consentToForward", "true").consent_to_forward, None);
}

#[test]
fn a_person_id_of_an_unknown_kind_is_kept_with_a_remark() {
    let (complaint, fields) = remarked("1.2.752.129.2.1.3.1", "1.2.752.0");
    assert_eq!(fields, ["complainant/personId"]);
    assert_eq!(complaint.complainant.person_id.unwrap().extension.as_deref(), Some(PERSON));
}

#[test]
fn a_channel_that_is_not_known_matters_only_when_a_reply_is_wanted() {
    let (text, files) = complaint_text();
    let text = replaced(&text, ">true</c:wanted>", ">false</c:wanted>");
    let text = replaced(&text, ">INBOX<", ">PIGEON<");
    let complaint = complaint_in(verdict(&text, &files).unwrap());
    assert_eq!(complaint.reply_wish, ReplyWish { wanted: false, channel: None });
    assert_eq!(complaint.remarks[0].field, "replyWish/channel");
}

#[test]
fn free_text_as_place_is_only_for_the_patients_committee() {
    let mut complaint = complaint();
    complaint.place = Some(Place::FreeText("någonstans".to_owned()));
    let mut both = Vec::new();
    for kind in [RecipientKind::CareProvider, RecipientKind::PatientAdvisoryCommittee] {
        complaint.recipient.kind = kind;
        let content = FromComplainant::Complaint(Box::new(complaint.clone()));
        let outline = process_complaint_v1::write(&from_complainant(content), &address());
        let (text, files) = on_the_wire(&outline);
        both.push(verdict(&text, &files).map(|_| ()).map_err(|it| it.0));
    }
    assert_eq!(both, [Err("complaint/place/freeText".to_owned()), Ok(())]);
}

#[test]
fn files_are_counted_measured_and_looked_into() {
    let with = |count: usize, change: fn(&mut FileSeen)| {
        let attachments = (0..count).map(|_| attachment("1", MediaType::Pdf)).collect();
        let supplement = Supplement { in_reply_to: None, text: "x".to_owned(), attachments };
        let message = from_complainant(FromComplainant::Supplement(supplement));
        let (text, mut files) = on_the_wire(&process_complaint_v1::write(&message, &address()));
        files.iter_mut().for_each(change);
        verdict(&text, &files).map(|_| ())
    };
    let max = limits::COMPLAINANT_ATTACHMENTS_MAX;
    assert_eq!(with(max, |_| ()), Ok(()));
    assert_eq!(with(max + 1, |_| ()).unwrap_err().0, "supplement/attachment[6]");
    assert_eq!(with(1, |it| it.too_large = true).unwrap_err().0, "supplement/attachment/value");
    assert_eq!(with(1, |it| it.media = None).unwrap_err().0, "supplement/attachment/value");
    assert_eq!(
        with(1, |it| it.media = Some(MediaType::Gif)).unwrap_err().0,
        "supplement/attachment/value"
    );
    let broken = with(2, |it| it.broken = true).unwrap_err();
    assert_eq!(broken.1, "ProcessComplaint/supplement/attachment[1]/value");
    assert_eq!(broken.0, MALFORMED);

    let reply = |count: usize| {
        handling_text(FromHandler::PartialReply(PartialReply {
            text: "x".to_owned(),
            standard_reply: None,
            attachments: (0..count).map(|_| attachment("1", MediaType::Pdf)).collect(),
        }))
    };
    let max = limits::HANDLER_ATTACHMENTS_MAX;
    let (text, files) = reply(max);
    assert!(verdict(&text, &files).is_ok());
    let (text, files) = reply(max + 1);
    assert_eq!(verdict(&text, &files).unwrap_err().0, "partialReply/attachment[11]");
    assert_eq!(verdict(&text, &files[1..]).unwrap_err().0, MALFORMED);
}

#[test]
fn a_file_in_an_extension_must_be_whole_too() {
    let (text, mut files) = complaint_text();
    let end = "</r:ProcessComplaint>";
    let extra = "<x:a xmlns:x='urn:x'><x:attachment><x:value>aGVq</x:value></x:attachment></x:a>";
    let text = replaced(&text, end, &format!("{extra}{end}"));
    files.push(FileSeen { media: None, ..files[0].clone() });
    assert!(verdict(&text, &files).is_ok());
    files[2].too_large = true;
    assert_eq!(verdict(&text, &files).unwrap_err().0, "a/attachment/value");
    files[2].broken = true;
    assert_eq!(verdict(&text, &files).unwrap_err().1, "ProcessComplaint/a/attachment/value");
}

#[test]
fn an_empty_value_is_an_empty_file_and_no_index() {
    let (text, files) = complaint_text();
    let text = replaced(&text, "<c:value>aGVqaGVqaGVq</c:value>", "<c:value/>");
    let (field, _) = verdict(&text, &files[1..]).unwrap_err();
    assert_eq!(field, "complaint/attachment[1]/value");
}

#[test]
fn too_many_codes_are_remarked_in_a_complaint_and_refused_from_a_handler() {
    let many = |count: usize, name: &str| {
        let mut all = String::new();
        for n in 0..count {
            write!(all, "<c:{name}><c:code>{n}</c:code></c:{name}>").unwrap();
        }
        all
    };
    let at = "<c:consentToForward>";
    let (complaint, fields) =
        remarked(at, &(many(limits::CODES_MAX - 2, "experiencedProblem") + at));
    assert_eq!((complaint.experienced_problems.len(), fields.len()), (limits::CODES_MAX, 0));
    let (complaint, fields) =
        remarked(at, &(many(limits::CODES_MAX - 1, "experiencedProblem") + at));
    assert_eq!((complaint.experienced_problems.len(), fields.len()), (limits::CODES_MAX, 1));

    let closure = Closure { reason: ClosureReason::Secrecy, classification: classification() };
    let (text, files) = handling_text(FromHandler::Closure(closure));
    let at = "<c:operationalArea>";
    let with = |count: usize| {
        verdict(&replaced(&text, at, &(many(count, "subProblem") + at)), &files).map(|_| ())
    };
    assert_eq!(with(limits::CODES_MAX - 2), Ok(()));
    assert_eq!(
        with(limits::CODES_MAX - 1).unwrap_err().0,
        "closure/classification/subProblem[101]"
    );
}

#[test]
fn a_handler_is_held_to_every_rule() {
    let closure = Closure { reason: ClosureReason::Secrecy, classification: classification() };
    let question = Question {
        question_id: "q-1".to_owned(),
        text: "PÅHITTAT ÄRENDE".to_owned(),
        attachments_allowed: false,
        answer_before: from_riv_date("20260801"),
    };
    let closure = handling_text(FromHandler::Closure(closure));
    let question = handling_text(FromHandler::Question(question));
    let case = "<r:caseId><c:root>1.2.752.129.2.1.2.1</c:root><c:extension>case-1</c:extension></r:caseId>";
    let long = "å".repeat(limits::LINE_CHARS_MAX + 1);
    for ((text, files), from, to, field) in [
        (&closure, "SECRECY", "BORED", "closure/reason"),
        (&closure, "<c:code>1</c:code>", "", "closure/classification/mainProblem/code"),
        (&closure, "<c:code>3</c:code>", "", "closure/classification/operationalArea/code"),
        (&closure, case, "", "caseId"),
        (&closure, "SE0000000000-HANDL", " ", "handler/hsaId"),
        (&closure, "Handläggare Ett", long.as_str(), "handler/name"),
        (&question, "20260801", "i morgon", "question/answerBefore"),
        (&question, ">false<", ">nej<", "question/attachmentsAllowed"),
        (&question, ">q-1<", "><", "question/questionId"),
        (&question, "PÅHITTAT ÄRENDE", "", "question/text"),
    ] {
        assert!(verdict(text, files).is_ok());
        assert_eq!(verdict(&replaced(text, from, to), files).unwrap_err().0, field);
    }
    let (text, files) = closure;
    let main = text.find("<c:mainProblem>").unwrap()..text.find("<c:subProblem>").unwrap();
    let text = replaced(&text, text.get(main).unwrap(), "");
    assert_eq!(
        verdict(&text, &files).unwrap_err(),
        (
            MALFORMED.to_owned(),
            "ProcessComplaintHandling/closure/classification/mainProblem".to_owned()
        )
    );
}

#[test]
fn a_registered_complaint_is_read_as_leniently_as_one_from_1177() {
    let registration = Registration { origin: Origin::Letter, complaint: complaint() };
    let (text, files) = handling_text(FromHandler::Registration(Box::new(registration)));
    let text = replaced(&text, "test@example.se", "vet ej");
    let Request::Handling(message) = verdict(&text, &files).unwrap() else { panic!("other") };
    let FromHandler::Registration(it) = message.content else { panic!("no registration") };
    assert_eq!(it.complaint.remarks[0].field, "complainant/email");
    let wrong = replaced(&text, PERSON, "189001019803");
    assert_eq!(
        verdict(&wrong, &files).unwrap_err().0,
        "registration/complaint/complainant/personId"
    );
    let origin = replaced(&text, "LETTER", "DREAM");
    assert_eq!(verdict(&origin, &files).unwrap_err().0, "registration/origin");
}

#[test]
fn remarks_outside_a_complaint_are_given_beside_the_message() {
    let reason = Some("å".repeat(limits::TEXT_CHARS_MAX + 1));
    let message = from_complainant(FromComplainant::Withdrawal(Withdrawal { reason }));
    let (text, files) = on_the_wire(&process_complaint_v1::write(&message, &address()));
    let reading = read_text(&text, &files).unwrap();
    assert_eq!(reading.request, Request::Complaint(message));
    assert_eq!(reading.remarks[0].field, "withdrawal/reason");
}

#[test]
fn person_ids_are_checked_by_their_kind() {
    use person::{NATIONAL_RESERVE, PERSONNUMMER, SAMORDNINGSNUMMER, STOCKHOLM_RESERVE, check};
    let good = |root: &str, number: &str| check(&ii(root, number)) == Verdict::Good;
    for number in ["189001019802", "200002292399", "202503312387", "201701012393"] {
        assert!(good(PERSONNUMMER, number));
        assert!(!good(SAMORDNINGSNUMMER, number));
    }
    assert!(good(SAMORDNINGSNUMMER, "202601612381"));
    assert!(!good(SAMORDNINGSNUMMER, "202601612393"));
    assert!(!good(PERSONNUMMER, "202601612381"));
    for number in
        ["", "9001019802", "19900101-2385", "18900101980", "1890010198020", "18900101980å"]
    {
        assert!(!good(PERSONNUMMER, number), "{number}");
    }
    // A month and a day that are not, with check digits that are right.
    let dated = |date: &str| {
        let checked = (0..10).map(|check| format!("{date}980{check}"));
        let mut right = checked.filter(|it| crate::id::luhn(it.get(2..).unwrap()));
        good(PERSONNUMMER, &right.next().unwrap())
    };
    assert!(dated("18900101"));
    for date in ["18901301", "18900001", "18900100", "18900132", "17900101", "21900101"] {
        assert!(!dated(date), "{date}");
    }
    assert!(good(STOCKHOLM_RESERVE, "991981000010"));
    assert!(!good(STOCKHOLM_RESERVE, "991981000011"));
    assert!(!good(STOCKHOLM_RESERVE, "981981000010"));
    for (number, right) in [
        ("22900101AB12", true),
        ("22900101ABC2", true),
        ("22900101AO12", false),
        ("22900101A112", false),
        ("22900101ab12", false),
        ("22900101ABCD", false),
        ("2290010AAB12", false),
    ] {
        assert_eq!(good(NATIONAL_RESERVE, number), right, "{number}");
    }
    assert!(matches!(check(&ii("1.2.3", "x")), Verdict::Unknown(_)));
    let bare = Ii { root: PERSONNUMMER.to_owned(), extension: None };
    assert!(matches!(check(&bare), Verdict::Wrong(_)));
}

#[test]
fn the_inbox_takes_what_its_pattern_says() {
    for (number, capable) in [
        (PERSON, true),
        ("202601612381", true),
        ("991981000010", true),
        ("19900101T001", true),
        ("19900101f001", true),
        ("22900101AB12", false),
        ("19900101K001", false),
        ("19900101-2385", false),
        ("9001019802", false),
        ("", false),
        ("1990010åT001", false),
    ] {
        assert_eq!(person::inbox_capable(&ii("any", number)), capable, "{number}");
    }
    assert!(!person::inbox_capable(&Ii { root: PERSON.to_owned(), extension: None }));
}

#[test]
fn a_skeleton_that_is_not_well_formed_is_malformed() {
    let (text, files) = complaint_text();
    for (from, to) in [
        ("En ursäkt", "&nej;"),
        ("En ursäkt", "&#1;"),
        ("</c:county>", "</c:country>"),
        ("En ursäkt", "<?php ?>"),
        ("</soapenv:Body>", "</soapenv:Body><soapenv:Body/>"),
        ("<c:kind>", "<q:kind>"),
    ] {
        let result = verdict(&replaced(&text, from, to), &files);
        assert_eq!(result.unwrap_err(), (MALFORMED.to_owned(), "Envelope".to_owned()), "{to}");
    }
}
