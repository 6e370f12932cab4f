//! To a region's own system, which knows a message by its id: everything arrives, once.

use super::*;

#[tokio::test]
async fn whatever_the_system_does_a_complaint_arrives_there_once() {
    let courses = [
        "normal",
        "late:600ms,normal",
        "error:APPLICATION_ERROR,error:TECHNICAL_ERROR,normal",
        "fault,normal",
        "fault:VP008,normal",
        "fault:VP009,normal",
        "http:503,normal",
        "http:502,normal",
        "none,normal",
        "close,normal",
        "lost-answer,normal",
        "garbage,normal",
        "lost-answer,close,normal",
    ];
    for course in courses {
        let scene = Scene::start(Plan { region: Some(course), ..Plan::default() }).await;
        let (case, _) = scene.case().await;
        scene.work();
        scene.states(&case, REGION, &["delivered"]).await;
        let received = scene.region.received();
        assert_eq!(received.len(), 1, "{course}");
        assert_eq!(received[0].address, "SE0000000000-VC2", "{course}");
        assert_eq!(received[0].case_id.as_ref(), Some(&case), "{course}");
        assert_eq!(received[0].original_consumer.as_deref(), Some("SE0000000000-1177"));
        scene.stop().await;
    }
}

#[tokio::test]
async fn what_the_system_refuses_for_good_is_not_sent_again_and_a_person_sees_why() {
    let courses = [
        ("error:VALIDATION_ERROR", "VALIDATION_ERROR"),
        ("error:NOT_FOUND", "NOT_FOUND"),
        ("fault:VP007", "VP007"),
        ("http:400", "400"),
    ];
    for (behaviour, told) in courses {
        let course = format!("{behaviour},normal");
        let scene = Scene::start(Plan::default()).await;
        scene.region.behave(course.parse().unwrap());
        let (case, _) = scene.case().await;
        scene.work();
        let parked = scene.states(&case, REGION, &["parked"]).await;
        let crate::cases::record::ItemState::Parked { why, .. } = &parked[0].state else {
            panic!("{parked:?}");
        };
        assert!(why.contains(told), "{behaviour}: {why}");
        assert_eq!(scene.region.received(), [], "{behaviour}");
        // Mended, and sent again by a person.
        scene.decide(&parked[0], Decision::Retry).await;
        scene.states(&case, REGION, &["delivered"]).await;
        scene.stop().await;
    }
}

#[tokio::test]
async fn what_the_complainant_adds_comes_after_the_complaint_however_often_that_fails() {
    let course = Some("fault,lost-answer,http:503,normal");
    let scene = Scene::start(Plan { region: course, ..Plan::default() }).await;
    let (case, _) = scene.case().await;
    scene.work();
    for text in ["ett", "två", "tre"] {
        scene.supplement(&case, text).await;
    }
    scene.states(&case, REGION, &["delivered"; 4]).await;
    let texts: Vec<_> = scene.region.received().into_iter().map(|it| it.text_sha256).collect();
    let expected = ["ett", "två", "tre"].map(|text| Some(text_digest(text)));
    assert_eq!(texts[1..], expected);
    scene.stop().await;
}

#[tokio::test]
async fn a_refused_complaint_holds_what_belongs_to_it_and_nothing_else() {
    let course = Some("error:VALIDATION_ERROR,normal");
    let scene = Scene::start(Plan { region: course, ..Plan::default() }).await;
    let (held, _) = scene.case().await;
    scene.work();
    let parked = scene.states(&held, REGION, &["parked"]).await;
    scene.supplement(&held, "till").await;
    let (other, _) = scene.case().await;
    scene.states(&other, REGION, &["delivered"]).await;
    scene.states(&held, REGION, &["parked", "waiting"]).await;
    scene.decide(&parked[0], Decision::Discard).await;
    // Its turn has come; the system knows no such case, and says so.
    scene.states(&held, REGION, &["discarded", "parked"]).await;
    scene.stop().await;
}

#[tokio::test]
async fn a_receiver_in_the_unit_s_place_is_the_logical_address() {
    let scene = Scene::start(Plan::default()).await;
    let (case, _) = scene.case_at("VC3", own_system("KLAGOMAL")).await;
    scene.work();
    scene.states(&case, REGION, &["delivered"]).await;
    assert_eq!(scene.region.received()[0].address, "SE0000000000-KLAGOMAL");
    scene.stop().await;
}

#[tokio::test]
async fn every_step_of_the_handling_goes_on_to_1177_in_order_under_an_id_of_our_own() {
    let scene = Scene::start(Plan { onward: true, ..Plan::default() }).await;
    scene.portal.behave("lost-answer,http:503,normal".parse().unwrap());
    let (case, _) = scene.case().await;
    let now = SystemClock.now();
    scene.step(&case, sample::acknowledgement(now)).await;
    scene.step(&case, sample::question("f1")).await;
    scene.step(&case, sample::reply(Vec::new())).await;
    scene.work();
    scene.states(&case, ONWARD, &["delivered"; 3]).await;
    let events = scene.portal.events();
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["acknowledgement", "question", "reply"]);
    for event in &events {
        assert_eq!(event.address, "SE0000000000-1177");
        assert_eq!(event.original_consumer.as_deref(), Some("SE0000000000-REGION"));
        let id = event.message_id.extension.as_deref().unwrap();
        assert!(id.starts_with("SE0000000000-GATEWAY:"), "{id}");
    }
    scene.stop().await;
}
