//! 1177 Inkorg: who has an inbox, and what a resend does without an idempotency key.

use super::*;

const ANNA: &str = "199001012385";
const BO: &str = "189001019802";

async fn inkorg(dir: &Path) -> Inkorg {
    let mut settings = InkorgSettings::new(place(dir, "inkorg"));
    settings.inactive = BTreeSet::from([BO.to_owned()]);
    Inkorg::start(settings).await.unwrap()
}

fn message(person: &str) -> inbox::InboxMessage {
    inbox::InboxMessage {
        person: person.to_owned(),
        unit: inbox::SendingUnit {
            id: id("SE0000000000-VC1"),
            name: "Testvårdcentralen Exempelstad".to_owned(),
            address: None,
            postal_code: None,
            postal_city: None,
            telephone: None,
        },
        thread_id: Some("trad-1".to_owned()),
        heading: Some("Svar på ditt ärende".to_owned()),
        text: "PÅHITTAT SVAR.\nPå två rader & med <tecken>.".to_owned(),
        notify: Some(true),
        source_system: Some("klagomal-test".to_owned()),
    }
}

async fn call(dir: &Path, inkorg: &Inkorg, action: &str, envelope: String) -> Seen {
    let tls = ClientTls::new(files(dir, "gateway"), Arc::new(SystemClock)).unwrap();
    let producer = Producer::new(tls.config().as_ref().clone()).unwrap();
    let call = Call {
        url: inkorg.url(),
        soap_action: action.to_owned(),
        content_type: "text/xml; charset=utf-8".to_owned(),
        headers: vec![("x-skltp-correlation-id".to_owned(), "kedja-1".to_owned())],
        body: Body::Whole(Bytes::from(envelope)),
        timeout: Duration::from_secs(1),
    };
    producer.call(call).await
}

async fn add(dir: &Path, inkorg: &Inkorg, message: &inbox::InboxMessage) -> Seen {
    let envelope = inbox::write_message(message, &id("SE0000000000-INKORG")).unwrap();
    call(dir, inkorg, inbox::ADD_MESSAGE_ACTION, envelope).await
}

fn result(seen: &Seen) -> inbox::InboxResult {
    let Seen::Answered(answer) = seen else { panic!("{seen:?}") };
    inbox::read_result(&answer.body, answer.header("content-type")).unwrap()
}

async fn is_active(dir: &Path, inkorg: &Inkorg, person: &str) -> bool {
    let envelope = inbox::write_is_active_user(person, &id("SE0000000000-INKORG")).unwrap();
    let seen = call(dir, inkorg, inbox::IS_ACTIVE_USER_ACTION, envelope).await;
    let Seen::Answered(answer) = seen else { panic!("{seen:?}") };
    inbox::read_user_status(&answer.body, None).unwrap().active
}

#[tokio::test]
async fn who_is_not_an_active_user_gets_no_message() {
    let dir = certificates();
    let inkorg = inkorg(dir.path()).await;
    assert!(is_active(dir.path(), &inkorg, ANNA).await);
    assert!(!is_active(dir.path(), &inkorg, BO).await);
    let refused = result(&add(dir.path(), &inkorg, &message(BO)).await);
    assert_eq!(refused.result_code, ResultCode::Error);
    assert_eq!(refused.result_text.as_deref(), Some(inbox::NOT_ACTIVE));
    assert_eq!(inkorg.messages(), []);
    inkorg.set_active(BO, true);
    assert!(is_active(dir.path(), &inkorg, BO).await);
    assert_eq!(result(&add(dir.path(), &inkorg, &message(BO)).await).result_code, ResultCode::Ok);
    assert_eq!((inkorg.asked(BO), inkorg.asked(ANNA)), (2, 1));
    assert_eq!((inkorg.messages_of(BO).len(), inkorg.messages_of(ANNA).len()), (1, 0));
}

#[tokio::test]
async fn a_message_is_kept_as_it_was_sent_and_a_second_time_is_counted() {
    let dir = certificates();
    let inkorg = inkorg(dir.path()).await;
    let sent = message(ANNA);
    let taken = result(&add(dir.path(), &inkorg, &sent).await);
    assert_eq!((taken.result_code, taken.thread_id), (ResultCode::Ok, sent.thread_id.clone()));
    assert_eq!(taken.notified, [inbox::Notification::Email]);
    let [item] = &inkorg.messages()[..] else { panic!("one message") };
    assert_eq!((item.person.as_str(), item.unit.as_str()), (ANNA, "SE0000000000-VC1"));
    assert_eq!((&item.heading, &item.text), (&sent.heading, &sent.text));
    assert_eq!((item.notify, item.times), (true, 1));
    assert_eq!(item.correlation_id.as_deref(), Some("kedja-1"));
    add(dir.path(), &inkorg, &sent).await;
    let mut other = sent.clone();
    other.text = "PÅHITTAT SVAR. Ett annat.".to_owned();
    add(dir.path(), &inkorg, &other).await;
    let times: Vec<_> = inkorg.messages().iter().map(|item| item.times).collect();
    assert_eq!(times, [2, 1]);
}

#[tokio::test]
async fn a_lost_answer_leaves_the_message_in_the_inbox_and_a_close_does_not() {
    let dir = certificates();
    let inkorg = inkorg(dir.path()).await;
    inkorg.behave("close,error,fault:VP009,lost-answer,twice,normal".parse().unwrap());
    let lost = |seen: &Seen| matches!(seen, Seen::Unknown { .. });
    assert!(lost(&add(dir.path(), &inkorg, &message(ANNA)).await));
    let error = result(&add(dir.path(), &inkorg, &message(ANNA)).await);
    assert_eq!(error.result_text.as_deref(), Some("TECHNICAL_ERROR"));
    let seen = add(dir.path(), &inkorg, &message(ANNA)).await;
    assert!(matches!(&seen, Seen::Answered(answer) if answer.status == 500), "{seen:?}");
    assert_eq!(inkorg.messages(), []);
    assert!(lost(&add(dir.path(), &inkorg, &message(ANNA)).await));
    assert_eq!(inkorg.messages()[0].times, 1);
    let held = add(dir.path(), &inkorg, &message(ANNA)).await;
    assert!(matches!(held, Seen::Unknown { loss: Loss::Timeout, .. }), "{held:?}");
    assert_eq!(inkorg.messages()[0].times, 2);
    assert_eq!(result(&add(dir.path(), &inkorg, &message(ANNA)).await).result_code, ResultCode::Ok);
    assert_eq!(inkorg.messages()[0].times, 3);
}

#[tokio::test]
async fn the_two_contracts_have_courses_of_their_own() {
    let dir = certificates();
    let inkorg = inkorg(dir.path()).await;
    let control = inkorg.control().unwrap();
    assert_eq!(http(control, "POST /behave?of=IsActiveUser", "fault").await.0, 200);
    assert_eq!(result(&add(dir.path(), &inkorg, &message(ANNA)).await).result_code, ResultCode::Ok);
    let envelope = inbox::write_is_active_user(ANNA, &id("SE0000000000-INKORG")).unwrap();
    let seen = call(dir.path(), &inkorg, inbox::IS_ACTIVE_USER_ACTION, envelope).await;
    assert!(matches!(&seen, Seen::Answered(answer) if answer.status == 500), "{seen:?}");
    inkorg.behave_when_asked(Course::default());
    assert!(is_active(dir.path(), &inkorg, ANNA).await);
    let (status, list) = http(control, "GET /messages", "").await;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(
        (status, list[0]["person"].as_str(), list[0]["times"].as_u64()),
        (200, Some(ANNA), Some(1))
    );
    assert_eq!(http(control, "POST /step", &format!("inactive {ANNA}")).await.0, 200);
    assert!(!is_active(dir.path(), &inkorg, ANNA).await);
    assert_eq!(http(control, "POST /behave?of=Other", "fault").await.0, 400);
    let complaint = include_str!("../../../fixtures/ProcessComplaint/five-attachments.request.xml");
    let seen = call(dir.path(), &inkorg, "x", complaint.to_owned()).await;
    assert!(matches!(&seen, Seen::Answered(answer) if answer.status == 500), "{seen:?}");
}
