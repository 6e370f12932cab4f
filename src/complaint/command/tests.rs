//! Each command inside and outside of what it may do, on a case that is folded as it goes.

use super::*;
use crate::complaint::case::{Case, Status};
use crate::complaint::event::Event;
use crate::complaint::letter::letter;
use crate::complaint::message::{
    Acknowledgement, Classification, Closure, ClosureReason, Code, Complainant, OrgUnit,
    PartialReply, PlaceCorrection, Question, Recipient, Relation, Reply, ReplyChannel, ReplyWish,
    Supplement, Transfer, Withdrawal,
};

const PERSON: &str = "199001012385";

fn hsa(suffix: &str) -> HsaId {
    HsaId::parse(&format!("SE0000000000-{suffix}")).unwrap()
}

fn unit(suffix: &str) -> OrgUnit {
    OrgUnit {
        hsa_id: hsa(suffix),
        name: None,
        telecom: None,
        email: None,
        address: None,
        location: None,
    }
}

fn actor() -> Actor {
    Actor { hsa_id: hsa("ANNA"), name: None, title: None, unit: None }
}

fn parties() -> Parties {
    Parties { portal: hsa("1177"), inkorg: "inkorg".to_owned(), onward: Some("1177".to_owned()) }
}

fn store(suffix: &str) -> Reception {
    Reception {
        receiver: hsa(suffix),
        receiver_name: format!("Test {suffix}"),
        county: "99".to_owned(),
        kind: RecipientKind::CareProvider,
        destination: Destination::Store,
    }
}

fn system(suffix: &str, id: &str) -> Reception {
    let destination = Destination::System {
        id: id.to_owned(),
        hsa_id: hsa(&id.to_uppercase()),
        receiver: hsa(suffix),
    };
    Reception { destination, ..store(suffix) }
}

fn complaint(to: &str) -> Complaint {
    Complaint {
        submitted: "2026-03-02T08:00:00Z".parse().unwrap(),
        recipient: Recipient {
            kind: RecipientKind::CareProvider,
            unit: unit(to),
            county: "99".to_owned(),
        },
        place: None,
        event_date: "2026-03-01".parse().unwrap(),
        description: "PÅHITTAT ÄRENDE".to_owned(),
        desired_outcome: None,
        complainant: Complainant {
            person_id: Some(Ii {
                root: "1.2.752.129.2.1.3.1".to_owned(),
                extension: Some(PERSON.to_owned()),
            }),
            name: Some("Påhittad Person".to_owned()),
            relation: Relation::Patient,
            authorization: None,
            protected_identity: None,
            phone: None,
            email: None,
            address: None,
        },
        patient: None,
        reply_wish: ReplyWish { wanted: true, channel: Some(ReplyChannel::Inbox) },
        experienced_problems: Vec::new(),
        consent_to_forward: None,
        attachments: Vec::new(),
        language: None,
        remarks: Vec::new(),
    }
}

/// The national lists, as shipped.
fn codes() -> CodeLists {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    CodeLists::parse(&[
        file("a", include_str!("../../../tak-config/code-lists/huvud-och-delproblem-1.0.toml")),
        file("b", include_str!("../../../tak-config/code-lists/verksamhetsomrade-1.0.toml")),
    ])
    .unwrap()
}

fn classification() -> Classification {
    let codes = codes();
    let code = |list: &str, code: &str| -> Code {
        let list = codes.current(list).unwrap();
        list.coded(list.code(code).unwrap())
    };
    Classification {
        main_problems: vec![code("huvud-och-delproblem", "1")],
        sub_problems: vec![code("huvud-och-delproblem", "1.1")],
        operational_area: code("verksamhetsomrade", "3"),
    }
}

/// A case that grows by what is decided.
struct Story {
    case: Option<Case>,
    seq: u64,
}

impl Story {
    fn begin(reception: &Reception) -> Self {
        let to = reception.receiver.as_str().trim_start_matches("SE0000000000-");
        let decided = open(to, reception, None).unwrap();
        let mut story = Self { case: None, seq: 0 };
        story.tell(&decided);
        story
    }

    fn tell(&mut self, decided: &Decided) {
        self.seq += 1;
        let at = "2026-03-02T09:00:00Z".parse().unwrap();
        match &mut self.case {
            Some(case) => case.fold(self.seq, at, &decided.event),
            None => {
                let id = Ii { root: "1.2.3".to_owned(), extension: Some("1".to_owned()) };
                self.case = Case::begin(&id, self.seq, at, "g", &decided.event);
            }
        }
    }

    fn case(&self) -> &Case {
        self.case.as_ref().unwrap()
    }

    fn handle(&mut self, content: FromHandler, by: &str, via: Via) -> Result<Decided, Refusal> {
        self.handle_to(content, by, via, None)
    }

    fn handle_to(
        &mut self,
        content: FromHandler,
        by: &str,
        via: Via,
        to: Option<&Reception>,
    ) -> Result<Decided, Refusal> {
        let handling = Handling { by: &actor(), via, system: &hsa(by) };
        let decided = handle(&content, self.case.as_ref(), handling, to, &codes(), &parties())?;
        self.tell(&decided);
        Ok(decided)
    }

    fn here(&mut self, content: FromHandler) -> Result<Decided, Refusal> {
        self.handle(content, "GATEWAY", Via::Store)
    }

    fn send(&mut self, content: FromComplainant, from: &str, to: &str) -> Result<Decided, Refusal> {
        let decided =
            from_complainant(&content, self.case.as_ref(), &hsa(from), &hsa(to), &parties())?;
        self.tell(&decided);
        Ok(decided)
    }
}

/// A new case of the built-in store.
pub(in crate::complaint) fn a_case() -> Case {
    Story::begin(&store("VC1")).case().clone()
}

fn open(to: &str, reception: &Reception, existing: Option<&Case>) -> Result<Decided, Refusal> {
    open_from_portal(
        complaint(to),
        &hsa("1177"),
        existing,
        reception,
        RegistrationNumber::of_ordinal(1),
        &parties(),
    )
}

fn owed(decided: &Decided) -> Vec<(&str, &Debt)> {
    decided.owed.iter().map(|it| (it.to.as_str(), &it.what)).collect()
}

fn supplement(in_reply_to: Option<&str>) -> FromComplainant {
    FromComplainant::Supplement(Supplement {
        in_reply_to: in_reply_to.map(str::to_owned),
        text: "PÅHITTAD KOMPLETTERING".to_owned(),
        attachments: Vec::new(),
    })
}

fn question(id: &str) -> FromHandler {
    FromHandler::Question(Question {
        question_id: id.to_owned(),
        text: "När hände det?".to_owned(),
        attachments_allowed: true,
        answer_before: Some("2026-03-20".parse().unwrap()),
    })
}

fn reply() -> FromHandler {
    FromHandler::Reply(Reply {
        explanation: "Provet blev liggande.".to_owned(),
        measures: Some("Vi kontrollerar varje dag.".to_owned()),
        text: None,
        attachments: Vec::new(),
        classification: classification(),
    })
}

fn transfer(to: &str) -> FromHandler {
    FromHandler::Transfer(Transfer { to_unit: unit(to), reason: "Fel enhet".to_owned() })
}

fn denied(outcome: Result<Decided, Refusal>) -> bool {
    matches!(outcome, Err(Refusal::Denied(_)))
}

fn field(outcome: Result<Decided, Refusal>) -> String {
    match outcome {
        Err(Refusal::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_case_in_the_store_owes_a_confirmation_and_one_in_an_own_system_a_relay_too() {
    let here = open("VC1", &store("VC1"), None).unwrap();
    assert_eq!(owed(&here), [("inkorg", &Debt::Letter)]);
    let there = open("VC2", &system("VC2", "region"), None).unwrap();
    let relay = Debt::Relay { seq: None, receiver: hsa("VC2") };
    assert_eq!(owed(&there), [("region", &relay), ("inkorg", &Debt::Letter)]);
}

#[test]
fn a_case_is_refused_where_it_names_another_receiver_kind_or_county_than_it_is_sent_to() {
    assert_eq!(field(open("VC2", &store("VC1"), None)), "complaint/recipient/unit");
    let board = Reception { kind: RecipientKind::PatientAdvisoryCommittee, ..store("VC1") };
    assert_eq!(field(open("VC1", &board, None)), "complaint/recipient/kind");
    let far = Reception { county: "98".to_owned(), ..store("VC1") };
    assert_eq!(field(open("VC1", &far, None)), "complaint/recipient/county");
}

#[test]
fn a_case_id_is_used_once_and_never_by_two_senders() {
    let story = Story::begin(&store("VC1"));
    let again = open("VC1", &store("VC1"), story.case.as_ref());
    assert!(matches!(again, Err(Refusal::State(_))));
    let mut others = story.case().clone();
    others.sender = hsa("REGION");
    assert!(denied(open("VC1", &store("VC1"), Some(&others))));
}

#[test]
fn the_whole_dialogue_moves_the_status_and_tells_the_complainant_each_step() {
    let mut story = Story::begin(&store("VC1"));
    assert_eq!(story.case().status(), Status::Received);
    let text = Acknowledgement {
        received: "2026-03-02T09:00:00Z".parse().unwrap(),
        expected_reply: Some("2026-03-30".parse().unwrap()),
        text: None,
    };
    let told = story.here(FromHandler::Acknowledgement(text)).unwrap();
    assert_eq!(owed(&told), [("inkorg", &Debt::Letter), ("1177", &Debt::Onward)]);
    let words = letter(story.case(), &told.event).unwrap();
    assert!(words.text.contains("senast den 2026-03-30"), "{words:?}");
    assert_eq!(story.case().status(), Status::Acknowledged);
    story.here(question("q1")).unwrap();
    assert_eq!(story.case().status(), Status::AwaitsComplainant);
    story.send(supplement(Some("q1")), "1177", "VC1").unwrap();
    assert_eq!(story.case().status(), Status::Acknowledged);
    let end = story.here(reply()).unwrap();
    assert_eq!(story.case().status(), Status::Closed);
    let words = letter(story.case(), &end.event).unwrap();
    for part in ["Det här har hänt", "inte ska hända igen", story.case().number.as_str()] {
        assert!(words.text.contains(part), "{words:?}");
    }
}

#[test]
fn nothing_is_added_to_a_closed_case() {
    let mut story = Story::begin(&store("VC1"));
    story.here(reply()).unwrap();
    let before = story.case().clone();
    assert!(matches!(story.here(reply()), Err(Refusal::State(_))));
    assert!(matches!(story.send(supplement(None), "1177", "VC1"), Err(Refusal::State(_))));
    assert_eq!(*story.case(), before);
}

#[test]
fn only_the_one_who_has_the_case_handles_it() {
    let mut there = Story::begin(&system("VC2", "region"));
    assert!(denied(there.here(question("q1"))));
    assert!(denied(there.handle(question("q1"), "OTHER", Via::System)));
    assert!(there.handle(question("q1"), "REGION", Via::System).is_ok());
    let mut here = Story::begin(&store("VC1"));
    assert!(denied(here.handle(question("q1"), "REGION", Via::System)));
}

#[test]
fn only_its_sender_and_the_portal_add_to_a_case_and_only_at_its_own_address() {
    let mut story = Story::begin(&store("VC1"));
    assert!(denied(story.send(supplement(None), "REGION", "VC1")));
    assert!(denied(story.send(supplement(None), "1177", "VC2")));
    assert!(story.send(supplement(None), "1177", "VC1").is_ok());
    let mut nowhere = Story { case: None, seq: 0 };
    assert_eq!(nowhere.send(supplement(None), "1177", "VC1"), Err(Refusal::NotFound));
}

#[test]
fn a_supplement_to_a_question_nobody_asked_is_kept_with_a_remark() {
    let mut story = Story::begin(&store("VC1"));
    let kept = story.send(supplement(Some("q9")), "1177", "VC1").unwrap();
    let Event::Supplemented { remarks, .. } = kept.event else { panic!() };
    assert_eq!(remarks.len(), 1);
}

#[test]
fn a_question_id_is_used_once_in_a_case() {
    let mut story = Story::begin(&store("VC1"));
    story.here(question("q1")).unwrap();
    assert_eq!(field(story.here(question("q1"))), "question/questionId");
}

#[test]
fn a_withdrawn_case_is_open_until_it_is_closed() {
    let mut story = Story::begin(&store("VC1"));
    let withdrawal = FromComplainant::Withdrawal(Withdrawal { reason: None });
    story.send(withdrawal, "1177", "VC1").unwrap();
    assert_eq!(story.case().status(), Status::Withdrawn);
    let closure = Closure { reason: ClosureReason::Withdrawn, classification: classification() };
    story.here(FromHandler::Closure(closure)).unwrap();
    assert_eq!(story.case().status(), Status::Closed);
}

#[test]
fn a_transfer_to_another_system_relays_all_that_the_complainant_sent() {
    let mut story = Story::begin(&system("VC2", "region"));
    story.send(supplement(None), "1177", "VC2").unwrap();
    let to = system("VC4", "other");
    let moved = story.handle_to(transfer("VC4"), "REGION", Via::System, Some(&to)).unwrap();
    let relays: Vec<_> = owed(&moved).into_iter().filter(|(to, _)| *to == "other").collect();
    let relay = |seq| Debt::Relay { seq: Some(seq), receiver: hsa("VC4") };
    assert_eq!(relays, [("other", &relay(1)), ("other", &relay(2))]);
    assert!(denied(story.handle(question("q"), "REGION", Via::System)));
    // 1177 knows the first address only, and what comes there goes to the new handler.
    let later = story.send(supplement(None), "1177", "VC2").unwrap();
    assert_eq!(owed(&later).first().unwrap().0, "other");
}

#[test]
fn a_transfer_never_goes_to_the_store_another_kind_the_same_unit_or_nowhere() {
    let at = |to: Option<&Reception>| {
        let mut story = Story::begin(&system("VC2", "region"));
        field(story.handle_to(transfer("VC4"), "REGION", Via::System, to))
    };
    let board =
        Reception { kind: RecipientKind::PatientAdvisoryCommittee, ..system("VC4", "other") };
    for to in [None, Some(&store("VC4")), Some(&board), Some(&system("VC2", "region"))] {
        assert_eq!(at(to), "transfer/toUnit");
    }
    let mut here = Story::begin(&store("VC1"));
    assert_eq!(field(here.here(transfer("VC4"))), "transfer/toUnit");
}

#[test]
fn only_a_patientnamnd_corrects_the_place_and_the_complainant_is_not_told() {
    let correction = || FromHandler::PlaceCorrection(PlaceCorrection { unit: unit("VC4") });
    let mut care = Story::begin(&store("VC1"));
    assert_eq!(field(care.here(correction())), "placeCorrection");
    let mut board = Story::begin(&store("VC1"));
    board.case.as_mut().unwrap().kind = RecipientKind::PatientAdvisoryCommittee;
    let done = board.here(correction()).unwrap();
    assert_eq!(owed(&done), [("1177", &Debt::Onward)]);
    assert_eq!(board.case().place, Some(hsa("VC4")));
}

#[test]
fn a_reply_without_a_known_classification_is_refused_and_names_the_field() {
    let FromHandler::Reply(mut it) = reply() else { panic!() };
    it.classification.main_problems.clear();
    it.classification.sub_problems.clear();
    let mut story = Story::begin(&store("VC1"));
    assert_eq!(field(story.here(FromHandler::Reply(it))), "reply/classification/mainProblem");
}

#[test]
fn an_anonymous_case_owes_nobody_a_letter() {
    let mut anonymous = complaint("VC2");
    anonymous.complainant.person_id = None;
    let registered = register(
        (&Origin::Phone, &anonymous),
        &actor(),
        &hsa("REGION"),
        None,
        &system("VC2", "region"),
        RegistrationNumber::of_ordinal(2),
        &parties(),
    )
    .unwrap();
    assert_eq!(owed(&registered), [("1177", &Debt::Onward)]);
    let mut story = Story { case: None, seq: 0 };
    story.tell(&registered);
    let told = FromHandler::PartialReply(PartialReply {
        text: "Påhittat delsvar".to_owned(),
        standard_reply: None,
        attachments: Vec::new(),
    });
    let told = story.handle(told, "REGION", Via::System).unwrap();
    assert_eq!(owed(&told), [("1177", &Debt::Onward)]);
}

#[test]
fn reserve_numbers_that_the_inbox_does_not_take_are_not_written_to() {
    let mut it = complaint("VC1");
    for (id, takes) in [
        (PERSON, true),
        ("19810829M071", false),
        ("199001012T85", false),
        ("19900101T238", true),
        ("1990010123", false),
    ] {
        it.complainant.person_id =
            Some(Ii { root: "1.2.3".to_owned(), extension: Some(id.to_owned()) });
        assert_eq!(inbox_person(&it).is_some(), takes, "{id}");
    }
}

#[test]
fn a_case_takes_so_many_questions_and_messages_and_no_more() {
    let mut story = Story::begin(&system("VC2", "region"));
    for n in 0..limits::CASE_QUESTIONS_MAX {
        story.handle(question(&format!("f{n}")), "REGION", Via::System).unwrap();
    }
    let refused = story.handle(question("one more"), "REGION", Via::System);
    assert!(matches!(refused, Err(Refusal::State(_))), "{refused:?}");
    for _ in 1..limits::CASE_MESSAGES_MAX {
        story.send(supplement(None), "1177", "VC2").unwrap();
    }
    let refused = story.send(supplement(None), "1177", "VC2");
    assert!(matches!(refused, Err(Refusal::State(_))), "{refused:?}");
}

#[test]
fn a_case_that_came_by_phone_is_not_confirmed_as_sent_by_the_complainant() {
    let (origin, complaint) = (Origin::Phone, complaint("VC2"));
    let number = RegistrationNumber::of_ordinal(1);
    let to = system("VC2", "region");
    let registered =
        register((&origin, &complaint), &actor(), &hsa("REGION"), None, &to, number, &parties());
    let event = registered.unwrap().event;
    let (id, at) = (Ii { root: "c".to_owned(), extension: None }, complaint.submitted);
    let case = Case::begin(&id, 1, at, "g", &event).unwrap();
    let text = letter(&case, &event).unwrap().text;
    assert!(text.contains("Det togs emot den 2026-03-02."), "{text}");
    assert!(!text.contains("Du skickade"), "{text}");
}
