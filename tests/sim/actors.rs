//! Those who call the gateway: the 1177 platform, the regions' systems, staff in the built-in store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::HeaderMap;
use klagomal::cases::NotAccepted;
use klagomal::cases::record::{RECORD_VERSION, Record};
use klagomal::complaint::event::Event;
use klagomal::complaint::message::{FromHandler, Ii, Supplement};
use klagomal::gateway::{self, Refusal};
use klagomal::rivta::{Interaction, ResultCode, read_answer};
use klagomal::store::engine::StoreError;
use tokio::time::{sleep, timeout};

use crate::bugs::Bug;
use crate::fault::Fault;
use crate::history::{Fate, Promise, Receipt, Sent};
use crate::messages::Unit;
use crate::words::{self, hsa};
use crate::world::{Life, World};

pub const PORTAL: &str = "SE0000000000-1177";

/// The HSA-id that a region's system calls with.
fn caller_of(system: &str) -> &'static str {
    if system == "region-a" { "SE0000000000-REGION" } else { "SE0000000000-REGIONB" }
}

/// A message that is put into the history before it is first sent.
pub struct New<'a> {
    pub from: &'a str,
    pub case: &'a Ii,
    pub unit: Unit,
    pub opens: bool,
}

fn begin(world: &World, new: &New<'_>, body: impl FnOnce(&str, &str) -> Arc<str>) -> String {
    let id = world.uuid();
    let mut history = world.history();
    let token = format!("t{}", history.sent.len() + 1);
    let sent = Sent {
        token: token.clone(),
        from: new.from.to_owned(),
        case: new.case.clone(),
        unit: new.unit.hsa_id,
        body: body(&id, &token),
        opens: new.opens,
        fate: Fate::Open,
        tried_at: None,
        known_at: None,
        known_after: None,
        loose: false,
        goes: None,
    };
    history.sent.insert(token.clone(), sent);
    token
}

/// One citizen's case, from 1177.
pub async fn citizen(world: Arc<World>, number: u64) {
    pause(&world, world.plan.trouble / 2).await;
    let unit = words::UNITS[usize::try_from(world.below(5)).unwrap()];
    let case = words::case_id(&format!("{}-{number}", world.plan.seed));
    let new = New { from: PORTAL, case: &case, unit, opens: true };
    if world.strikes(Fault::CallOutOfOrder) {
        let early = New { opens: false, ..new };
        let token = begin(&world, &early, |id, token| words::supplement(unit, id, &case, token));
        send(&world, &token).await;
        must_be_refused(&world, &token, "it came before its case");
    }
    let token = begin(&world, &new, |id, token| words::complaint(unit, id, &case, token));
    send(&world, &token).await;
    if !matches!(fate(&world, &token), Fate::Accepted(_)) {
        return;
    }
    let more = world.below(4);
    for at in 0..more {
        pause(&world, world.plan.trouble / 6).await;
        let new = New { opens: false, ..new };
        let token = begin(&world, &new, |id, token| {
            if at == 3 {
                words::withdrawal(unit, id, &case, token)
            } else {
                words::supplement(unit, id, &case, token)
            }
        });
        send(&world, &token).await;
    }
    if world.strikes(Fault::CallerNotPermitted) {
        let new = New { from: "SE0000000000-STRANGER", opens: false, ..new };
        let token = begin(&world, &new, |id, token| words::supplement(unit, id, &case, token));
        send(&world, &token).await;
        must_be_refused(&world, &token, "its sender may not");
    }
}

/// Sends a message until its fate is known, and now and then once more.
async fn send(world: &Arc<World>, token: &str) {
    while fate(world, token) == Fate::Open {
        if world.strikes(Fault::CallTwiceAtOnce) {
            // Either may be answered first.
            loosen(world, token);
            tokio::join!(attempt(world, token), attempt(world, token));
        } else {
            attempt(world, token).await;
        }
        if fate(world, token) == Fate::Open {
            sleep(Duration::from_millis(500 + world.below(30_000))).await;
        }
    }
    if !matches!(fate(world, token), Fate::Accepted(_)) {
        return;
    }
    if world.strikes(Fault::CallRepeatedLater) {
        pause(world, Duration::from_secs(300)).await;
        attempt(world, token).await;
    }
    if world.strikes(Fault::OtherContentSameId) {
        pause(world, Duration::from_secs(60)).await;
        other_content(world, token).await;
    }
}

/// The id of an accepted message, with other words.
async fn other_content(world: &Arc<World>, token: &str) {
    let sent = world.history().sent[token].clone();
    let mut body = sent.body.replace(&format!("[{token}]"), "[annat]");
    if world.has_bug(Bug::TakesOtherContent) {
        let id = words::inside(&body, "messageId").unwrap().to_owned();
        let other = id.replacen("root>", &format!("root>{}", world.below(1000)), 1);
        body = body.replace(&id, &other);
    }
    let Some(life) = world.life() else { return };
    let Some(Ok(answer)) = call(world, &life, &sent.from, &body).await else { return };
    let answer = read(&sent, &answer);
    if answer.subcode.as_deref() != Some("MESSAGE_ID_REUSED") && !is_damaged(world, &sent) {
        world.break_promise(Promise::OneContent, format!("{token} with other words: {answer:?}"));
    }
}

async fn call(
    world: &World,
    life: &Life,
    from: &str,
    body: &str,
) -> Option<Result<String, Refusal>> {
    let (from, mut headers) = (hsa(from), HeaderMap::new());
    headers.insert("x-skltp-correlation-id", "sim".parse().unwrap());
    let answer = tokio::select! {
        biased;
        () = life.dead.cancelled() => None,
        answer = life.gateway.answer_whole(&from, &headers, body.as_bytes()) => Some(answer),
    };
    answer.filter(|_| !world.strikes(Fault::OurAnswerLost))
}

/// One try to send a message.
async fn attempt(world: &Arc<World>, token: &str) {
    let sent = {
        let mut history = world.history();
        let place = history.place;
        let sent = history.sent.get_mut(token).unwrap();
        sent.tried_at.get_or_insert(place);
        sent.clone()
    };
    if world.strikes(Fault::CallLost) {
        return;
    }
    let Some(life) = world.life() else { return };
    if world.strikes(Fault::CallCutShort) {
        let most = u64::try_from(sent.body.len() - 40).unwrap();
        let mut at = usize::try_from(world.below(most)).unwrap();
        while !sent.body.is_char_boundary(at) {
            at -= 1;
        }
        if let Some(Ok(answer)) = call(world, &life, &sent.from, &sent.body[..at]).await {
            world.break_promise(
                Promise::RefusalChangesNothing,
                format!("half of {token}: {answer}"),
            );
        }
        return;
    }
    let (generation, goes) = goes(world, &sent);
    if world.strikes(Fault::CallerHangsUp) {
        hang_up(world, &life, &sent).await;
        loosen(world, token);
        return;
    }
    match call(world, &life, &sent.from, &sent.body).await {
        None => loosen(world, token),
        Some(Err(Refusal::Unavailable(_) | Refusal::Overloaded)) => loosen(world, token),
        Some(Err(refusal)) => refused(world, &sent, refusal.to_string()).await,
        Some(Ok(answer)) => {
            let fixed = (world.generation.load(Ordering::SeqCst) == generation && !sent.loose)
                .then_some(goes);
            heard(world, token, &answer, fixed).await;
        }
    }
}

/// Where the configuration sends the unit's cases now.
fn goes(world: &World, sent: &Sent) -> (u64, Option<String>) {
    let to = world.config().goes(sent.unit).flatten();
    (world.generation.load(Ordering::SeqCst), to.map(|(id, receiver)| format!("{id} {receiver}")))
}

fn loosen(world: &World, token: &str) {
    world.history().sent.get_mut(token).unwrap().loose = true;
}

/// The caller is gone while its call is being answered.
async fn hang_up(world: &Arc<World>, life: &Arc<Life>, sent: &Sent) {
    let disturbed = world.disturbed();
    let generation = world.generation.load(Ordering::SeqCst);
    if !world.has_bug(Bug::DropsWhenHungUp) {
        let patience = Duration::from_millis(world.below(15));
        drop(timeout(patience, call(world, life, &sent.from, &sent.body)).await);
    }
    if !sent.opens || world.config().goes(sent.unit).is_none() {
        return;
    }
    let (world, life, sent) = (Arc::clone(world), Arc::clone(life), sent.clone());
    tokio::spawn(async move {
        let mut away = false;
        for _ in 0..60 {
            // A store that takes nothing refuses the call, whoever waits for the answer.
            away |= life.cases.engine().health().unavailable.is_some();
            tokio::select! {
                biased;
                () = life.dead.cancelled() => return,
                () = sleep(Duration::from_secs(1)) => {}
            }
        }
        let calm = world.disturbed() == disturbed
            && world.generation.load(Ordering::SeqCst) == generation
            && !away;
        if calm && life.cases.case(&sent.case).is_ok_and(|case| case.is_none()) {
            world.break_promise(
                Promise::BegunIsFinished,
                format!("{} is not there; its caller hung up", sent.token),
            );
        }
    });
}

fn read(sent: &Sent, answer: &str) -> klagomal::rivta::Answer {
    let interaction = if sent.from == PORTAL || sent.from.ends_with("STRANGER") {
        Interaction::ProcessComplaint
    } else {
        Interaction::ProcessComplaintHandling
    };
    read_answer(interaction, answer.as_bytes(), None).expect("our own answer")
}

/// An answer that came.
async fn heard(world: &World, token: &str, text: &str, goes: Option<Option<String>>) {
    let sent = world.history().sent[token].clone();
    let answer = read(&sent, text);
    let again = answer.subcode.as_deref() == Some("ALREADY_RECEIVED");
    match answer.result_code {
        ResultCode::Error => {
            let why = format!("{:?} {:?}", answer.error_code, answer.message);
            return refused(world, &sent, why).await;
        }
        ResultCode::Ok | ResultCode::Info => {}
    }
    let receipt = Receipt {
        number: answer.registration_number.clone().unwrap_or_default(),
        received: answer.received,
    };
    if is_damaged(world, &sent) {
        known(world, token, Fate::Accepted(receipt), None);
        return;
    }
    match &sent.fate {
        Fate::Accepted(first) if *first == receipt && (again || sent.loose) => {}
        Fate::Open if !again || sent.loose => {
            world.note(&format!("{token} is accepted: {}", receipt.number));
            known(world, token, Fate::Accepted(receipt), goes.filter(|_| !again));
        }
        first => world.break_promise(
            Promise::NothingTwice,
            format!("{token} was {first:?}, now {receipt:?}, again: {again}"),
        ),
    }
}

fn known(world: &World, token: &str, fate: Fate, goes: Option<Option<String>>) {
    let mut history = world.history();
    let (place, at) = (history.place, world.elapsed());
    let sent = history.sent.get_mut(token).unwrap();
    sent.known_after.get_or_insert(at);
    sent.fate = fate;
    sent.known_at.get_or_insert(place);
    sent.goes = sent.goes.take().or(goes);
}

async fn refused(world: &World, sent: &Sent, why: String) {
    world.note(&format!("{} is refused: {why}", sent.token));
    if is_damaged(world, sent) {
        known(world, &sent.token, Fate::Refused(why), None);
        return;
    }
    // Who may no longer call is told so, whatever was accepted before: it asks again when it may.
    let barred = why.contains("Authorization missing") || why.contains("has no permission");
    if barred && (sent.loose || matches!(sent.fate, Fate::Accepted(_))) {
        return;
    }
    if let Fate::Accepted(first) = &sent.fate {
        let what = format!("{} was accepted, {first:?}, and now it is refused: {why}", sent.token);
        world.break_promise(Promise::NothingTwice, what);
        return;
    }
    if world.has_bug(Bug::RefusalLeavesTrace)
        && let Some(life) = world.life()
    {
        leave_trace(&life, sent).await;
    }
    known(world, &sent.token, Fate::Refused(why), None);
}

/// What a buggy gateway would do: a refused message is noted all the same.
async fn leave_trace(life: &Life, sent: &Sent) {
    let text = format!("[{}]", sent.token);
    let supplement = Supplement { in_reply_to: None, text, attachments: Vec::new() };
    let case = sent.case.clone();
    let noted = life.cases.engine().submit(move |transaction| {
        let record = Record {
            v: RECORD_VERSION,
            at: transaction.now(),
            case,
            generation: String::new(),
            incoming: None,
            event: Event::Supplemented { supplement, remarks: Vec::new() },
            remarks: Vec::new(),
            owed: Vec::new(),
            original: None,
            sealed_files: Vec::new(),
        };
        transaction.append(&serde_json::to_vec(&record).unwrap()).map(|_| ())
    });
    // Where the store is away, the bug shows another time.
    drop::<Result<(), _>>(
        noted.await.map_err(|error: klagomal::store::engine::SubmitError<StoreError>| error),
    );
}

fn fate(world: &World, token: &str) -> Fate {
    world.history().sent[token].fate.clone()
}

fn must_be_refused(world: &World, token: &str, why: &str) {
    let sent = world.history().sent[token].clone();
    if matches!(sent.fate, Fate::Accepted(_)) && !is_damaged(world, &sent) {
        world.break_promise(Promise::RefusalChangesNothing, format!("{token} is accepted; {why}"));
    }
}

fn is_damaged(world: &World, sent: &Sent) -> bool {
    world.history().damaged.contains(&sent.case)
}

async fn pause(world: &World, most: Duration) {
    let most = u64::try_from(most.as_millis()).unwrap();
    sleep(Duration::from_millis(world.below(most.max(1)))).await;
}

/// A region's staff: they work on what has come to their system.
pub async fn regions(world: Arc<World>) {
    let mut transferred = Vec::new();
    loop {
        pause(&world, world.plan.trouble / 10).await;
        if world.quiet.load(Ordering::SeqCst) {
            return;
        }
        let work = world.peers().work.clone();
        if work.is_empty() {
            continue;
        }
        let (mut system, case) =
            work[usize::try_from(world.below(u64::try_from(work.len()).unwrap())).unwrap()].clone();
        let case = Ii { root: words::CASE_ROOT.to_owned(), extension: Some(case) };
        let wrong = world.strikes(Fault::WrongHandler);
        if wrong {
            let other = if system == "region-a" { "region-b" } else { "region-a" };
            let worked =
                work.iter().any(|it| it.0 == other && Some(&it.1) == case.extension.as_ref());
            if worked {
                continue;
            }
            other.clone_into(&mut system);
        }
        let from = caller_of(&system);
        let may_move = !wrong && !transferred.contains(&case) && system == "region-a";
        let new = New { from, case: &case, unit: words::VC2, opens: false };
        let kind = world.below(9);
        let token = begin(&world, &new, |id, token| {
            let content = match kind {
                7 if may_move && world.config().goes(words::VC4.hsa_id).is_some() => {
                    transferred.push(case.clone());
                    words::transfer(words::VC4, token)
                }
                kind => content(kind, token),
            };
            words::handling(&words::step(id, &case, content))
        });
        send(&world, &token).await;
        if wrong && !transferred.contains(&case) {
            must_be_refused(&world, &token, "it handles a case of another's");
        }
    }
}

fn content(kind: u64, token: &str) -> FromHandler {
    match kind {
        0..=2 => words::acknowledgement(token),
        3 | 4 => words::partial_reply(token),
        5 | 6 => words::question(token),
        7 => words::partial_reply(token),
        _ => words::reply(token),
    }
}

/// Staff of the units that are handled here.
pub async fn staff(world: Arc<World>) {
    loop {
        pause(&world, world.plan.trouble / 10).await;
        if world.quiet.load(Ordering::SeqCst) {
            return;
        }
        let here: Vec<Sent> = {
            let history = world.history();
            let here = history.sent.values().filter(|it| it.opens && it.goes == Some(None));
            here.cloned().collect()
        };
        let Some(life) = world.life().filter(|_| !here.is_empty()) else { continue };
        let of = &here[usize::try_from(world.below(u64::try_from(here.len()).unwrap())).unwrap()];
        let new =
            New { from: "SE0000000000-GATEWAY", case: &of.case, unit: words::VC1, opens: false };
        let token = begin(&world, &new, |_, _| Arc::from(""));
        let kind = world.below(9);
        let message = words::step(&world.uuid(), &of.case, content(kind, &token));
        let grounds = gateway::grounds(&world.routing.get());
        let done = tokio::select! {
            biased;
            () = life.dead.cancelled() => continue,
            done = life.cases.handle_here(message, grounds) => done,
        };
        match done {
            Ok(accepted) => {
                let (number, received) = (accepted.receipt.number.to_string(), None);
                world.note(&format!("{token} is done in {number}"));
                known(&world, &token, Fate::Accepted(Receipt { number, received }), None);
            }
            Err(NotAccepted::Unavailable(_)) => {}
            Err(error) => known(&world, &token, Fate::Refused(error.to_string()), None),
        }
    }
}
