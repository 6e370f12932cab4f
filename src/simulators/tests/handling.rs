//! A region's handling, sent to a platform that stands in for the gateway.

use super::*;

fn kinds(events: &[Message]) -> Vec<&str> {
    events.iter().map(|event| event.kind).collect()
}

#[tokio::test]
async fn a_script_is_played_in_order_and_waits_for_the_answer_to_a_question() {
    let dir = certificates();
    let gateway = portal(dir.path(), None).await;
    let script = "acknowledge,partial-reply,question,reply:2x1000";
    let region = region(dir.path(), Some(gateway.url()), script).await;
    let portal = portal(dir.path(), Some(region.url())).await;
    let message = complaint();
    send(&portal, &message).await;
    let asked = until_there_are(3, || gateway.events()).await;
    assert_eq!(kinds(&asked), ["acknowledgement", "partialReply", "question"]);
    assert_eq!(asked[2].question.as_deref(), Some("fraga-1"));
    sleep(Duration::from_millis(200)).await;
    assert_eq!(gateway.events().len(), 3, "the reply waits for the answer");

    let more = sample::supplement(&message.case_id, Some("fraga-1"), "PÅHITTAT SVAR", message.sent);
    send(&portal, &more).await;
    let all = until_there_are(4, || gateway.events()).await;
    assert_eq!((all[3].kind, all[3].attachments.len()), ("reply", 2));
    let cases: BTreeSet<_> = all.iter().map(|event| event.case_id.clone().unwrap()).collect();
    assert_eq!(cases, BTreeSet::from([message.case_id]));
    assert!(all.iter().all(|event| event.sender == Some(id("SE0000000000-REGION"))));
    let sent = until_there_are(4, || region.sent()).await;
    assert!(sent.iter().all(|it| it.done && it.attempts == 1 && it.outcome == "OK"), "{sent:?}");
}

#[tokio::test]
async fn a_message_is_sent_again_with_its_id_until_it_is_taken() {
    let dir = certificates();
    let gateway = portal(dir.path(), None).await;
    gateway.behave("close,http:503,lost-answer,fault,normal".parse().unwrap());
    let region = region(dir.path(), Some(gateway.url()), "acknowledge").await;
    let portal = portal(dir.path(), Some(region.url())).await;
    send(&portal, &complaint()).await;
    let sent = until_there_are(1, || region.sent()).await;
    assert_eq!((sent[0].attempts, sent[0].done), (5, true));
    assert_eq!(sent[0].outcome, "INFO ALREADY_RECEIVED");
    let [event] = &gateway.events()[..] else { panic!("one event") };
    assert_eq!((event.times, &event.message_id), (2, &sent[0].message_id));
}

#[tokio::test]
async fn a_refused_step_ends_the_script() {
    let dir = certificates();
    let gateway = portal(dir.path(), None).await;
    gateway.behave("error:INVALID_STATE,normal".parse().unwrap());
    let region = region(dir.path(), Some(gateway.url()), "acknowledge,reply").await;
    let portal = portal(dir.path(), Some(region.url())).await;
    send(&portal, &complaint()).await;
    let sent = until_there_are(1, || region.sent()).await;
    assert_eq!((sent[0].attempts, sent[0].done), (1, false));
    assert_eq!(sent[0].outcome, "ERROR INVALID_STATE");
    sleep(Duration::from_millis(200)).await;
    assert_eq!((region.sent().len(), gateway.events().len()), (1, 0));
}

#[tokio::test]
async fn twice_sends_every_message_of_that_case_twice() {
    let dir = certificates();
    let gateway = portal(dir.path(), None).await;
    let region = region(dir.path(), Some(gateway.url()), "acknowledge,reply").await;
    region.behave(Course::first(&[Behaviour::Twice]));
    let portal = portal(dir.path(), Some(region.url())).await;
    send(&portal, &complaint()).await;
    until_there_are(4, || region.sent()).await;
    send(&portal, &complaint()).await;
    until_there_are(6, || region.sent()).await;
    let times: Vec<_> = gateway.events().iter().map(|event| (event.kind, event.times)).collect();
    let expected = [("acknowledgement", 2), ("reply", 2), ("acknowledgement", 1), ("reply", 1)];
    assert_eq!(times, expected);
}

#[tokio::test]
async fn a_withdrawn_case_is_closed_instead_of_replied_to() {
    let dir = certificates();
    let gateway = portal(dir.path(), None).await;
    let region = region(dir.path(), Some(gateway.url()), "question,reply").await;
    let portal = portal(dir.path(), Some(region.url())).await;
    let message = complaint();
    send(&portal, &message).await;
    until_there_are(1, || gateway.events()).await;
    send(&portal, &sample::withdrawal(&message.case_id, message.sent)).await;
    let events = until_there_are(2, || gateway.events()).await;
    assert_eq!(kinds(&events), ["question", "closure"]);
}

#[tokio::test]
async fn a_step_by_hand_is_sent_once_and_seen_as_it_went() {
    let dir = certificates();
    let gateway = portal(dir.path(), None).await;
    let region = region(dir.path(), Some(gateway.url()), "none").await;
    let case = sample::case_id();
    let message = region.message(&case, &"closure:REFERRED".parse().unwrap()).await.unwrap();
    assert_eq!(answer(&region.send(&message).await.unwrap()).result_code, ResultCode::Ok);
    assert_eq!(answer(&region.send(&message).await.unwrap()).result_code, ResultCode::Info);
    let wait = region.message(&case, &"wait:1s".parse().unwrap()).await;
    assert!(matches!(wait, Err(SendError::Wait)));
    gateway.behave("twice,normal".parse().unwrap());
    let message = region.message(&case, &Step::Acknowledge).await.unwrap();
    let outcome = region.send(&message).await.unwrap();
    assert!(matches!(outcome.judgement(), Judgement::Unknown { .. }), "{outcome:?}");
    assert_eq!(answer(&region.send(&message).await.unwrap()).result_code, ResultCode::Info);
    let silent = super::region(dir.path(), None, "none").await;
    assert!(matches!(silent.send(&message).await, Err(SendError::Nowhere)));
}
