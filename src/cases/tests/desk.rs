//! The staff's work: it checks what it was begun on, can be taken back for a minute, and is read
//! back from shelves; every reading is on disk before it is told.

use super::*;
use crate::cases::desk::{Page, Shelf, What, Work};
use crate::complaint::case::Status;
use crate::complaint::event::{Act, Assignee, Why};
use crate::complaint::message::{FromHandler, Question};
use crate::store::journal::memory::Fault;
use uuid::Uuid;

fn by(suffix: &str) -> Actor {
    Actor {
        hsa_id: hsa(suffix), name: Some(format!("{suffix} Påhittad")), title: None, unit: None
    }
}

fn to(suffix: &str) -> Act {
    Act::Assigned { to: Some(Assignee { hsa_id: hsa(suffix), name: suffix.to_owned() }) }
}

async fn work(cases: &Cases, case: &Ii, who: &str, what: What) -> Result<Accepted, NotAccepted> {
    let work = Work { case: case.clone(), by: by(who), seen: None, form: None, what };
    cases.work(work, grounds(None)).await
}

fn question(id: &str) -> What {
    What::Step(Box::new(FromHandler::Question(Question {
        question_id: id.to_owned(),
        text: "När hände det?".to_owned(),
        attachments_allowed: false,
        answer_before: None,
    })))
}

fn letters(cases: &Cases, case: &Ii) -> Vec<&'static str> {
    cases.items_of(case).unwrap().iter().map(|item| item.state.name()).collect()
}

fn undo(cases: &Cases, case: &Ii) -> What {
    let last = cases.case(case).unwrap().unwrap().last_step;
    What::Act(Act::Undone { step: last.map_or(0, |last| last.seq) })
}

fn refused(outcome: Result<Accepted, NotAccepted>) -> String {
    match outcome {
        Err(NotAccepted::Refused(refusal)) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn two_who_answer_the_same_case_are_told_apart() {
    let bench = Bench::new();
    let cases = bench.open();
    let case = ii("c", "1");
    begin(&cases, &case, store("VC1")).await;
    let seen = cases.case(&case).unwrap().unwrap().events;
    let answer = |who: &str, id: &str| Work {
        case: case.clone(),
        by: by(who),
        seen: Some(seen),
        form: None,
        what: question(id),
    };
    cases.note_reading(&case, by("BO"), Why::Handles, "g".to_owned()).await.unwrap();
    cases.work(answer("ANNA", "1"), grounds(None)).await.unwrap();
    let second = cases.work(answer("BO", "2"), grounds(None)).await;
    assert!(matches!(second, Err(NotAccepted::Refused(Refusal::Changed))), "{second:?}");
    assert_eq!(cases.case(&case).unwrap().unwrap().questions.len(), 1);
}

#[tokio::test]
async fn a_step_is_held_for_a_minute_and_can_be_taken_back_until_it_is_on_its_way() {
    let bench = Bench::new();
    let cases = bench.open();
    let case = ii("c", "1");
    begin(&cases, &case, store("VC1")).await;
    let confirmation = due(&cases, INKORG).remove(0);
    let leased = cases.lease(confirmation.id, bench.clock.now()).await.unwrap();
    cases.tried(&leased, Outcome::Delivered).await.unwrap();
    work(&cases, &case, "ANNA", question("1")).await.unwrap();
    bench.clock.advance(Duration::from_secs(59));
    assert!(due(&cases, INKORG).is_empty(), "held");
    assert!(refused(work(&cases, &case, "BO", undo(&cases, &case)).await).contains("Bara den"));
    work(&cases, &case, "ANNA", undo(&cases, &case)).await.unwrap();
    let now = cases.case(&case).unwrap().unwrap();
    assert_eq!((now.status(), now.contacted, now.questions.len()), (Status::Received, None, 0));
    assert_eq!(letters(&cases, &case), ["delivered", "discarded"]);
    work(&cases, &case, "ANNA", question("1")).await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    let item = due(&cases, INKORG).remove(0);
    assert!(work(&cases, &case, "ANNA", undo(&cases, &case)).await.is_ok(), "not leased yet");
    work(&cases, &case, "ANNA", question("1")).await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    let next = due(&cases, INKORG).remove(0);
    assert_ne!(next.id, item.id);
    cases.lease(next.id, bench.clock.now()).await.unwrap();
    let late = refused(work(&cases, &case, "ANNA", undo(&cases, &case)).await);
    assert!(late.contains("redan på väg"), "{late}");
    // What was folded as it came is what the journal says.
    let (again, _) = bench.try_open(&Arc::default()).unwrap();
    assert_eq!(again.case(&case).unwrap(), cases.case(&case).unwrap());
    assert_eq!(letters(&again, &case), letters(&cases, &case));
}

#[tokio::test]
async fn a_letter_that_waits_behind_another_is_held_all_the_same() {
    let bench = Bench::new();
    let cases = bench.open();
    let case = ii("c", "1");
    begin(&cases, &case, store("VC1")).await;
    work(&cases, &case, "ANNA", question("1")).await.unwrap();
    assert_eq!(letters(&cases, &case), ["due", "waiting"]);
    let leased = cases.lease(due(&cases, INKORG).remove(0).id, bench.clock.now()).await.unwrap();
    cases.tried(&leased, Outcome::Delivered).await.unwrap();
    assert_eq!(letters(&cases, &case), ["delivered", "due"]);
    assert!(due(&cases, INKORG).is_empty(), "the minute is not over");
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(due(&cases, INKORG).len(), 1);
}

fn numbers(page: &Page) -> Vec<String> {
    page.cases.iter().filter_map(|case| case.id.extension.clone()).collect()
}

#[tokio::test]
async fn cases_are_found_by_unit_handler_and_person_and_counted() {
    let bench = Bench::new();
    let cases = bench.open();
    for n in 1..=60 {
        begin(&cases, &ii("c", &format!("{n:02}")), store("VC1")).await;
        bench.clock.advance(Duration::from_secs(1));
    }
    begin(&cases, &ii("c", "elsewhere"), store("VC9")).await;
    for n in ["05", "07"] {
        work(&cases, &ii("c", n), "ANNA", What::Act(to("BO"))).await.unwrap();
    }
    let shelf = |handler: Option<&str>| Shelf {
        unit: hsa("VC1"),
        handler: handler.map(hsa),
        closed: false,
    };
    let first = cases.page(&shelf(None), None, &|_| true).unwrap();
    assert_eq!((first.cases.len(), numbers(&first)[0].as_str()), (limits::STAFF_ROWS_MAX, "01"));
    let second = cases.page(&shelf(None), first.next.as_deref(), &|_| true).unwrap();
    assert_eq!((second.cases.len(), second.next.is_none()), (10, true));
    let mine = cases.page(&shelf(Some("BO")), None, &|_| true).unwrap();
    assert_eq!(numbers(&mine), ["05", "07"]);
    work(&cases, &ii("c", "05"), "BO", What::Act(to("ANNA"))).await.unwrap();
    let mine = cases.page(&shelf(Some("BO")), None, &|_| true).unwrap();
    assert_eq!(numbers(&mine), ["07"]);
    let free = |case: &Case| case.assigned.is_none();
    assert_eq!(cases.page(&shelf(None), None, &free).unwrap().cases.len(), limits::STAFF_ROWS_MAX);
    work(&cases, &ii("c", "07"), "BO", question("1")).await.unwrap();
    let counts = cases.unit_counts(&hsa("VC1")).unwrap();
    assert_eq!(counts.unassigned, 58);
    let by_status: Vec<u64> = counts.by_status.iter().map(|(_, count)| *count).collect();
    assert_eq!(by_status, [59, 0, 1, 0, 0]);
    assert_eq!(cases.of_person("199001012385").unwrap().len(), 61);
    assert_eq!(cases.of_person("199001012386").unwrap().len(), 0);
}

#[tokio::test]
async fn every_reading_is_in_the_log_and_changes_nothing_of_the_case() {
    let bench = Bench::new();
    let cases = bench.open();
    let case = ii("c", "1");
    begin(&cases, &case, store("VC1")).await;
    let before = cases.case(&case).unwrap();
    for (who, why) in [("ANNA", Why::Distributes), ("BO", Why::Handles), ("ANNA", Why::Oversees)] {
        bench.clock.advance(Duration::from_secs(1));
        cases.note_reading(&case, by(who), why, "g".to_owned()).await.unwrap();
    }
    assert_eq!(cases.case(&case).unwrap(), before);
    assert_eq!(cases.records(&case).unwrap().len(), 1, "readings are no part of what happened");
    let log = cases.readings_of(&case).unwrap();
    let told: Vec<(&str, Why)> = log.iter().map(|it| (it.by.hsa_id.as_str(), it.why)).collect();
    let expected = [
        ("SE0000000000-ANNA", Why::Distributes),
        ("SE0000000000-BO", Why::Handles),
        ("SE0000000000-ANNA", Why::Oversees),
    ];
    assert_eq!(told, expected);
    let newest = cases.readings_at(&hsa("VC1"), None).unwrap();
    assert_eq!(newest.iter().map(|it| it.why).next(), Some(Why::Oversees));
    let older = cases.readings_at(&hsa("VC1"), Some(newest[0].seq)).unwrap();
    assert_eq!(older.len(), 2);
    assert!(cases.readings_at(&hsa("VC2"), None).unwrap().is_empty());
    let nowhere = cases.note_reading(&ii("c", "2"), by("ANNA"), Why::Handles, String::new()).await;
    assert!(matches!(nowhere, Err(NotAccepted::Refused(Refusal::NotFound))));
    bench.disk.fail_at(bench.disk.operations(), 1000, Fault::NoSpace);
    let unwritten = cases.note_reading(&case, by("ANNA"), Why::Handles, String::new()).await;
    assert!(matches!(unwritten, Err(NotAccepted::Unavailable(_))), "then nothing may be shown");
}

#[tokio::test]
async fn a_deadline_is_told_near_and_again_when_it_has_passed_and_each_once() {
    use crate::complaint::deadline::{Term, Terms};
    use crate::complaint::notice::MAIL;
    let bench = Bench::new();
    let cases = bench.open().telling_staff();
    let case = ii("k", "told");
    begin(&cases, &case, store("VC1")).await;
    let terms = Terms { first_contact: Term::Days(1), reply: Term::Days(28) };
    let told = async || {
        let due = cases.to_remind(&hsa("VC1"), &terms, None).unwrap();
        for case in due.cases {
            cases.remind(&case.id, terms, "g1".to_owned()).await.unwrap();
        }
        let owed = cases.items_of(&case).unwrap();
        owed.iter().filter(|item| item.to == MAIL).count()
    };
    assert_eq!(told().await, 2, "the new case: to the mailbox and to the quality leads");
    // Nobody wants a reply, so nobody is to be contacted: the reply alone counts.
    bench.clock.advance(Duration::from_secs(25 * 24 * 3600));
    assert_eq!((told().await, told().await), (3, 3), "near, once");
    let seen = cases.case(&case).unwrap().unwrap().events;
    bench.clock.advance(Duration::from_secs(8 * 24 * 3600));
    assert_eq!((told().await, told().await), (5, 5), "overdue: the mailbox and the quality leads");
    let after = cases.case(&case).unwrap().unwrap();
    assert_eq!(after.events, seen, "no form of a handler grows old by it");
    // The same from the journal alone.
    let (cases, _) = bench.try_open(&Arc::default()).unwrap();
    let due = cases.telling_staff().to_remind(&hsa("VC1"), &terms, None).unwrap();
    assert!(due.cases.is_empty());
}

#[tokio::test]
async fn a_form_is_kept_once_and_is_good_for_one_case_one_person_and_one_text() {
    let bench = Bench::new();
    let cases = bench.open();
    let (one, two) = (ii("k", "one"), ii("k", "two"));
    begin(&cases, &one, store("VC1")).await;
    begin(&cases, &two, store("VC1")).await;
    let form = Some(Uuid::from_u128(7));
    let note = |case: &Ii, who: &str, text: &str| Work {
        case: case.clone(),
        by: by(who),
        seen: None,
        form,
        what: What::Act(Act::Noted { text: text.to_owned() }),
    };
    let first = cases.work(note(&one, "ANNA", "PÅHITTAT"), grounds(None)).await.unwrap();
    let again = cases.work(note(&one, "ANNA", "PÅHITTAT"), grounds(None)).await.unwrap();
    assert!(!first.repeated && again.repeated);
    for (case, who, text) in
        [(&two, "ANNA", "PÅHITTAT"), (&one, "BO", "PÅHITTAT"), (&one, "ANNA", "ANNAT")]
    {
        let other = cases.work(note(case, who, text), grounds(None)).await;
        assert!(matches!(other, Err(NotAccepted::Reused)), "{other:?}");
    }
    assert_eq!(cases.case(&one).unwrap().unwrap().events, 2);
    assert_eq!(cases.case(&two).unwrap().unwrap().events, 1);
}
