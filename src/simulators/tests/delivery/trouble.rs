//! Restarts, dead receivers, a store that is away, and bugs of our own.

use super::*;

#[tokio::test]
async fn a_gateway_killed_while_it_sends_sends_again_to_a_system_and_asks_a_person_about_the_inbox()
{
    let plan = Plan {
        region: Some("late:20s,normal"),
        inbox: Some("late:20s,normal"),
        timeout: Some(20_000),
        ..Plan::default()
    };
    let mut scene = Scene::start(plan).await;
    let (case, _) = scene.case().await;
    scene.work();
    until(|| (scene.region.received().len() == 1 && scene.inbox().len() == 1).then_some(())).await;
    scene.kill().await;
    assert_eq!(scene.items(&case, REGION)[0].state.name(), "leased");
    scene.work();
    scene.states(&case, REGION, &["delivered"]).await;
    scene.states(&case, INKORG, &["unknown"]).await;
    assert_eq!(scene.region.received().len(), 1);
    assert_eq!(scene.inbox()[0].times, 1);
    scene.stop().await;
}

#[tokio::test]
async fn a_stop_lets_what_is_under_way_end_and_records_it() {
    let plan = Plan { region: Some("late:300ms,normal"), timeout: Some(5_000), ..Plan::default() };
    let scene = Scene::start(plan).await;
    let (case, _) = scene.case().await;
    scene.work();
    until(|| (scene.region.received().len() == 1).then_some(())).await;
    scene.stop().await;
    assert_eq!(scene.items(&case, REGION)[0].state.name(), "delivered");
}

#[tokio::test]
async fn a_dead_system_delays_nobody_else() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = Some(format!("http://{nobody}/rivta"));
    let scene = Scene::start(Plan { region_url: url, onward: true, ..Plan::default() }).await;
    let mut cases = Vec::new();
    for _ in 0..20 {
        let (case, _) = scene.case().await;
        scene.step(&case, sample::acknowledgement(SystemClock.now())).await;
        cases.push(case);
    }
    scene.work();
    for case in &cases {
        scene.states(case, INKORG, &["delivered"; 2]).await;
        scene.states(case, ONWARD, &["delivered"]).await;
    }
    // It was tried a few times, not as fast as it refuses.
    let tried: u32 = cases.iter().map(|case| scene.items(case, REGION)[0].attempts).sum();
    assert!((1..=40).contains(&tried), "{tried} attempts");
    assert_eq!(scene.region.received(), []);
    scene.stop().await;
}

#[tokio::test]
async fn what_was_delivered_is_recorded_when_the_store_comes_back_and_not_sent_again() {
    let plan = Plan { inbox: Some("late:300ms,normal"), timeout: Some(5_000), ..Plan::default() };
    let scene = Scene::start(plan).await;
    let (case, _) = scene.case().await;
    scene.work();
    until(|| (scene.inbox().len() == 1).then_some(())).await;
    scene.disk.fail_at(scene.disk.operations() + 1, u64::MAX, Fault::NoSpace);
    until(|| scene.cases.engine().health().unavailable.map(|_| ())).await;
    assert_eq!(scene.items(&case, INKORG)[0].state.name(), "leased");
    scene.disk.heal();
    scene.states(&case, INKORG, &["delivered"]).await;
    assert_eq!(scene.inbox()[0].times, 1);
    scene.stop().await;
}

#[tokio::test]
async fn a_bug_while_a_message_is_sent_parks_that_message() {
    let scene = Scene::start(Plan::default()).await;
    let (case, _) = scene.case().await;
    scene.work_with(Plain { panics: true });
    let parked = scene.states(&case, REGION, &["parked"]).await;
    scene.stop().await;
    scene.work();
    scene.decide(&parked[0], Decision::Retry).await;
    scene.states(&case, REGION, &["delivered"]).await;
    scene.stop().await;
}

#[tokio::test]
async fn what_is_owed_to_a_system_that_is_configured_no_more_waits_until_it_is_back() {
    let scene = Scene::start(Plan::default()).await;
    let (case, _) = scene.case().await;
    let files = ["systems.toml", "units.toml", "routes.toml"];
    let paths = files.map(|name| scene.dir.path().join("tak-config").join(name));
    let texts = paths.each_ref().map(|path| std::fs::read_to_string(path).unwrap());
    for (path, text) in paths.iter().zip(&texts) {
        std::fs::write(path, text.replace(REGION, "region-nytt-namn")).unwrap();
    }
    assert!(scene.routing.reload(SystemClock.now()).unwrap());
    scene.work();
    scene.states(&case, INKORG, &["delivered"]).await;
    assert_eq!(scene.items(&case, REGION)[0].state.name(), "due");
    assert_eq!(scene.cases.counts(REGION).unwrap().open(), 1);
    for (path, text) in paths.iter().zip(&texts) {
        std::fs::write(path, text).unwrap();
    }
    assert!(scene.routing.reload(SystemClock.now()).unwrap());
    scene.states(&case, REGION, &["delivered"]).await;
    scene.stop().await;
}

#[tokio::test]
async fn a_letter_that_waited_speaks_for_the_unit_that_had_the_case_then() {
    let scene = Scene::start(Plan::default()).await;
    let (case, _) = scene.case().await;
    scene.step(&case, sample::acknowledgement(SystemClock.now())).await;
    let to = id("SE0000000000-VC3");
    let message =
        sample::handling(&case, &id("SE0000000000-H1"), sample::transfer(&to), SystemClock.now());
    let reception = Reception {
        receiver: to.clone(),
        receiver_name: "Testmottagningen Exempelby".to_owned(),
        county: "99".to_owned(),
        kind: RecipientKind::CareProvider,
        destination: own_system("KLAGOMAL"),
    };
    let envelope = envelope("SE0000000000-REGION", None);
    let grounds = scene.grounds(Some(reception));
    scene.cases.accept_handling(message, envelope, grounds).await.unwrap();
    scene.work();
    scene.states(&case, INKORG, &["delivered"; 3]).await;
    let letters = scene.inbox();
    let units: Vec<&str> = letters.iter().map(|letter| letter.unit_name.as_str()).collect();
    let (before, after) = ("Testkliniken Exempelstad", "Testmottagningen Exempelby");
    assert_eq!(units, [before, before, after]);
    assert!(letters[1].text.contains(before) && !letters[1].text.contains(after));
    scene.stop().await;
}
