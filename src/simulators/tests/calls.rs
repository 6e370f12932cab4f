//! A complaint straight to a region: taken once, and misbehaved with as told.

use super::*;

#[tokio::test]
async fn a_case_with_an_attachment_comes_to_the_region_as_it_was_sent() {
    let dir = certificates();
    let region = region(dir.path(), None, "none").await;
    let portal = portal(dir.path(), Some(region.url())).await;
    let mut message = complaint();
    let file = portal.attachment(1, 300_000).await.unwrap();
    let FromComplainant::Complaint(complaint) = &mut message.content else { panic!() };
    complaint.attachments.push(file.clone());
    let text = complaint.description.clone();

    let outcome = send(&portal, &message).await;
    let first = answer(&outcome).clone();
    assert_eq!(first.result_code, ResultCode::Ok);
    assert_eq!(first.case_id.as_ref(), Some(&message.case_id));
    assert_eq!(first.registration_number.as_deref(), Some("REGION-000001"));
    assert_eq!(outcome.judgement(), Judgement::Done);

    let [received] = &region.received()[..] else { panic!("one message") };
    assert_eq!(received.sender, Some(id("SE0000000000-1177")));
    assert_eq!(received.address, "SE0000000000-VC2");
    assert_eq!((&received.message_id, received.kind), (&message.message_id, "complaint"));
    assert_eq!(received.case_id.as_ref(), Some(&message.case_id));
    assert_eq!(received.text_sha256, Some(text_digest(&text)));
    let [seen] = &received.attachments[..] else { panic!("one attachment") };
    assert_eq!((&seen.sha256, seen.bytes), (&file.sha256, 300_000));
    assert_eq!(received.times, 1);
    stopped(portal.stop()).await;
    stopped(region.stop()).await;
}

#[tokio::test]
async fn a_message_is_taken_once_and_its_id_never_used_again() {
    let dir = certificates();
    let region = region(dir.path(), None, "none").await;
    let portal = portal(dir.path(), Some(region.url())).await;
    let message = complaint();
    let first = answer(&send(&portal, &message).await).clone();
    let again = answer(&send(&portal, &message).await).clone();
    assert_eq!(again.result_code, ResultCode::Info);
    assert_eq!(again.subcode.as_deref(), Some("ALREADY_RECEIVED"));
    assert_eq!(again.registration_number, first.registration_number);
    assert_eq!((again.case_id, again.received), (first.case_id, first.received));

    // Sent at another time, it is still the same message.
    let mut later = message.clone();
    later.sent += jiff::SignedDuration::from_secs(60);
    assert_eq!(answer(&send(&portal, &later).await).result_code, ResultCode::Info);

    let mut other = sample::withdrawal(&message.case_id, message.sent);
    other.message_id = message.message_id.clone();
    let reused = answer(&send(&portal, &other).await).clone();
    assert_eq!(reused.error_code, Some(ErrorCode::ValidationError));
    assert_eq!(reused.subcode.as_deref(), Some("MESSAGE_ID_REUSED"));
    let received = region.received();
    assert_eq!(
        received.iter().map(|it| (it.kind, it.times)).collect::<Vec<_>>(),
        [("complaint", 3)]
    );

    let unknown = sample::supplement(&sample::case_id(), None, "PÅHITTAD TEXT", message.sent);
    let refused = answer(&send(&portal, &unknown).await).clone();
    assert_eq!(refused.error_code, Some(ErrorCode::NotFound));
    let known =
        sample::supplement(&message.case_id, Some("fraga-1"), "PÅHITTAD TEXT", message.sent);
    let taken = answer(&send(&portal, &known).await).clone();
    assert_eq!(taken.registration_number.as_deref(), Some("REGION-000001"));
    assert_eq!(region.received()[1].question.as_deref(), Some("fraga-1"));
}

#[tokio::test]
async fn every_behaviour_is_seen_by_the_caller_as_it_says() {
    let dir = certificates();
    let region = region(dir.path(), None, "none").await;
    let portal = portal(dir.path(), Some(region.url())).await;
    let told = |behaviour: &str| region.behave(Course::first(&[behaviour.parse().unwrap()]));
    let seen = |outcome: &Outcome| match &outcome.seen {
        Seen::Unknown { loss, .. } => Some(*loss),
        Seen::Answered(_) | Seen::NotSent { .. } => None,
    };
    let message = complaint();

    told("close");
    assert_eq!(seen(&send(&portal, &message).await), Some(Loss::Closed));
    told("none");
    assert_eq!(seen(&send(&portal, &message).await), Some(Loss::Timeout));
    told("garbage");
    let garbage = send(&portal, &message).await;
    assert!(matches!(garbage.answer, Some(Err(NotAnswer::Unreadable(_)))), "{garbage:?}");
    told("http:503");
    let down = send(&portal, &message).await;
    assert!(matches!(&down.seen, Seen::Answered(answer) if answer.status == 503), "{down:?}");
    told("fault");
    let fault = send(&portal, &message).await.fault().cloned().unwrap();
    assert_eq!((fault.code, fault.vp), (Some(FaultCode::Server), None));
    told("fault:VP009");
    assert_eq!(send(&portal, &message).await.fault().unwrap().vp, Some(9));
    told("fault:VP004");
    let fault = send(&portal, &message).await.fault().cloned().unwrap();
    assert_eq!((fault.code, fault.vp), (Some(FaultCode::Client), Some(4)));
    told("error:APPLICATION_ERROR");
    let error = answer(&send(&portal, &message).await).clone();
    assert_eq!(error.error_code, Some(ErrorCode::ApplicationError));
    assert_eq!(region.received(), [], "none of these has processed the message");

    told("lost-answer");
    assert_eq!(seen(&send(&portal, &message).await), Some(Loss::Closed));
    assert_eq!(region.received().len(), 1, "a lost answer was processed");
    let again = answer(&send(&portal, &message).await).clone();
    assert_eq!(again.subcode.as_deref(), Some("ALREADY_RECEIVED"));

    told("late:100ms");
    let late = send(&portal, &complaint()).await;
    assert_eq!(answer(&late).result_code, ResultCode::Ok);
    assert!(matches!(&late.seen, Seen::Answered(answer) if answer.ms >= 100), "{late:?}");
    region.behave("late:10m".parse().unwrap());
    let never = send(&portal, &complaint()).await;
    assert_eq!(seen(&never), Some(Loss::Timeout));
    assert_eq!(region.received().len(), 3, "a late answer was processed");
}

#[tokio::test]
async fn a_call_that_hangs_does_not_keep_a_simulator_from_stopping() {
    let dir = certificates();
    let region = region(dir.path(), None, "none").await;
    region.behave(Course::always(Behaviour::Silent));
    let portal = portal(dir.path(), Some(region.url())).await;
    let (outcome, ()) = tokio::join!(send_of(&portal), async {
        sleep(Duration::from_millis(300)).await;
        stopped(region.stop()).await;
    });
    assert!(matches!(outcome.seen, Seen::Unknown { loss: Loss::Closed, .. }), "{outcome:?}");
}

async fn send_of(portal: &Portal) -> Outcome {
    send(portal, &complaint()).await
}

#[tokio::test]
async fn what_breaks_the_contract_is_refused_as_the_contract_says() {
    let dir = certificates();
    let region = region(dir.path(), None, "none").await;
    let portal = portal(dir.path(), Some(region.url())).await;
    let mut message = complaint();
    if let FromComplainant::Complaint(complaint) = &mut message.content {
        complaint.description = "å".repeat(crate::limits::TEXT_CHARS_MAX + 1);
    }
    let refused = answer(&send(&portal, &message).await).clone();
    assert_eq!(refused.error_code, Some(ErrorCode::ValidationError));
    for envelope in ["not xml", "<a/>"] {
        let outcome = portal.post(envelope, &[]).await.unwrap();
        assert_eq!(outcome.fault().unwrap().vp, Some(15), "{envelope}");
    }
    assert_eq!(region.received(), []);
}

#[tokio::test]
async fn who_calls_is_known_by_the_certificate() {
    let dir = certificates();
    let region = region(dir.path(), None, "none").await;
    let mut settings = PortalSettings::new(place(dir.path(), "no-hsa-id"), Some(region.url()));
    settings.timeout = PATIENCE;
    let nobody = Portal::start(settings.clone()).await.unwrap();
    assert_eq!(send(&nobody, &complaint()).await.fault().unwrap().vp, Some(2));
    settings.place = place(dir.path(), "self-signed");
    let stranger = Portal::start(settings).await.unwrap();
    let outcome = send(&stranger, &complaint()).await;
    assert!(matches!(outcome.seen, Seen::NotSent { stage: Stage::Tls, .. }), "{outcome:?}");
    assert_eq!(region.received(), []);
}

#[tokio::test]
async fn an_envelope_from_a_file_is_a_new_message_when_asked() {
    let dir = certificates();
    let region = region(dir.path(), None, "none").await;
    let portal = portal(dir.path(), Some(region.url())).await;
    let file = include_bytes!("../../../fixtures/ProcessComplaint/five-attachments.request.xml");
    let mut codes = Vec::new();
    for _ in 0..2 {
        let outcome = portal.post(&file[..], &[]).await.unwrap();
        codes.push(answer(&outcome).result_code);
        let new = envelope::with_new_ids(file, None).unwrap();
        let outcome = portal.post(new.envelope, &[]).await.unwrap();
        codes.push(answer(&outcome).result_code);
    }
    assert_eq!(codes, [ResultCode::Ok, ResultCode::Ok, ResultCode::Info, ResultCode::Ok]);
    assert_eq!(region.received().len(), 3);
    assert_eq!(region.received()[2].attachments, region.received()[0].attachments);
    assert_eq!(region.received()[2].attachments.len(), 5);
}

#[tokio::test]
async fn attachments_lie_in_the_folder_and_a_temporary_one_is_removed() {
    let dir = certificates();
    let kept = dir.path().join("attachments");
    let (platform, handler) = (id("SE0000000000-1177"), id("SE0000000000-H1"));
    let mut settings = RegionSettings::new(place(dir.path(), "region"), None, platform, handler);
    settings.folder = Some(kept.clone());
    let region = Region::start(settings).await.unwrap();
    let file = region.attachment(1, 1000).await.unwrap();
    stopped(region.stop()).await;
    let path = kept.join(file.sha256.get(..2).unwrap()).join(&file.sha256);
    assert_eq!(std::fs::read(path).unwrap(), sample::pdf(1000, 1));

    let opened = files::Folder::open(None).unwrap();
    let name = opened.temporary().unwrap().to_owned();
    assert!(name.is_dir());
    drop(opened);
    assert!(!name.exists());
}

#[tokio::test]
async fn the_control_door_stands_on_loopback_only_and_not_for_browsers() {
    let dir = certificates();
    let mut at = place(dir.path(), "1177");
    at.control = Some("0.0.0.0:0".parse().unwrap());
    let error = Portal::start(PortalSettings::new(at, None)).await.unwrap_err();
    assert!(matches!(error, StartError::Control(_)), "{error}");

    let portal = portal(dir.path(), None).await;
    let control = portal.control().unwrap();
    assert_eq!(http(control, "GET /received", "").await, (200, "[]\n".to_owned()));
    let (status, _) =
        http(control, "GET /received HTTP/1.1\r\nOrigin: http://evil.example\r\nX:", "").await;
    assert_eq!(status, 403);
    let (status, why) = http(control, "GET /elsewhere", "").await;
    assert!(status == 404 && why.contains("GET /received, POST /behave and POST /step"), "{why}");
    let (status, why) = http(control, "POST /behave", "slowly").await;
    assert!(status == 400 && why.contains("is no behaviour; there are normal"), "{why}");
    let (status, why) = http(control, "POST /step", "complaint SE0000000000-VC2 99").await;
    assert!(status == 400 && why.contains("without an address"), "{why}");
}

#[tokio::test]
async fn the_platform_and_the_region_are_led_from_outside() {
    let dir = certificates();
    let gateway = portal(dir.path(), None).await;
    let region = region(dir.path(), Some(gateway.url()), "none").await;
    let portal = portal(dir.path(), Some(region.url())).await;
    let step = "complaint SE0000000000-VC2 99 5000";
    let (status, told) = http(portal.control().unwrap(), "POST /step", step).await;
    assert!(status == 200 && told.contains("REGION-000001"), "{told}");
    assert_eq!(region.received()[0].attachments[0].bytes, 5000);

    let (status, why) =
        http(portal.control().unwrap(), "POST /step", "complaint SE1-1 99 20971521").await;
    assert!(status == 400 && why.contains("larger than 20971520 bytes"), "{why}");

    let control = region.control().unwrap();
    let (status, told) = http(control, "POST /step", "latest reply:2x700").await;
    assert!(status == 200 && told.contains("\"outcome\": \"OK\""), "{told}");
    let [event] = &gateway.events()[..] else { panic!("one event") };
    assert_eq!((event.kind, event.attachments.len()), ("reply", 2));
    let (status, why) = http(control, "POST /step", "nobody reply").await;
    assert!(status == 400 && why.contains("no such case"), "{why}");

    assert_eq!(http(control, "POST /behave", "error").await.0, 200);
    let (_, told) = http(portal.control().unwrap(), "POST /step", step).await;
    assert!(told.contains("ERROR TECHNICAL_ERROR"), "{told}");
}
