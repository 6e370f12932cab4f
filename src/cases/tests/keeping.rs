//! What is kept, once, and what survives a restart, a rebuild and damage.

use super::*;
use crate::clock;

async fn send(
    cases: &Cases,
    message: ProcessComplaint,
    sender: &str,
) -> Result<Accepted, NotAccepted> {
    let grounds = grounds(Some(store("VC1")));
    cases.accept_complaint(message, hsa("VC1"), envelope(sender), grounds).await
}

#[tokio::test]
async fn a_message_sent_again_is_answered_as_the_first_time_also_after_restart_and_rebuild() {
    let bench = Bench::new();
    let cases = bench.open();
    let case = ii("c", "1");
    let message = complaint("m1", &case, "VC1");
    let first = send(&cases, message.clone(), "1177").await.unwrap();
    assert!(!first.repeated);
    bench.clock.advance(Duration::from_secs(3600));
    // A resend may say when it was sent anew.
    let again = ProcessComplaint { sent: cases.now(), ..message };
    let kept = cases.engine().health().durable_seq;
    cases.engine().close().await;
    let rebuilt = Arc::new(MemoryTable::default());
    for table in [&bench.table, &rebuilt] {
        let (cases, _) = bench.try_open(table).unwrap();
        let repeated = send(&cases, again.clone(), "1177").await.unwrap();
        assert!(repeated.repeated);
        assert_eq!(repeated.receipt, first.receipt);
        assert_eq!(cases.engine().health().durable_seq, kept);
        assert_eq!(cases.count().unwrap(), 1);
        cases.engine().close().await;
    }
}

#[tokio::test]
async fn remarks_are_ours_and_no_part_of_what_a_message_says() {
    let bench = Bench::new();
    let cases = bench.open();
    let message = complaint("m1", &ii("c", "1"), "VC1");
    let mut remarked = message.clone();
    if let FromComplainant::Complaint(complaint) = &mut remarked.content {
        complaint.remarks.push(Remark { field: "phone".to_owned(), rule: "för lång".to_owned() });
    }
    send(&cases, message, "1177").await.unwrap();
    assert!(send(&cases, remarked, "1177").await.unwrap().repeated);
}

#[tokio::test]
async fn the_same_id_with_other_content_is_refused_and_another_sender_s_id_is_another() {
    let bench = Bench::new();
    let cases = bench.open();
    let case = ii("c", "1");
    send(&cases, complaint("m1", &case, "VC1"), "1177").await.unwrap();
    let kept = cases.engine().health().durable_seq;
    let mut other = complaint("m1", &case, "VC1");
    if let FromComplainant::Complaint(complaint) = &mut other.content {
        complaint.description.push('!');
    }
    let refused = send(&cases, other, "1177").await.unwrap_err();
    assert!(matches!(refused, NotAccepted::Reused), "{refused:?}");
    assert_eq!(cases.engine().health().durable_seq, kept);
    send(&cases, complaint("m1", &ii("c", "2"), "VC1"), "ANNAN").await.unwrap();
}

#[tokio::test]
async fn of_the_same_message_many_times_at_once_one_opens_the_case() {
    let bench = Bench::new();
    let cases = bench.open();
    let message = complaint("m1", &ii("c", "1"), "VC1");
    let calls = (0..50).map(|_| send(&cases, message.clone(), "1177"));
    let answers = futures_util::future::join_all(calls).await;
    let fresh = answers.iter().filter(|it| !it.as_ref().unwrap().repeated).count();
    assert_eq!(fresh, 1);
    assert_eq!(cases.count().unwrap(), 1);
    assert_eq!(due(&cases, INKORG).len(), 1);
}

#[tokio::test]
async fn a_refusal_changes_nothing() {
    let bench = Bench::new();
    let cases = bench.open();
    let refused = send(&cases, supplement("m1", &ii("c", "none")), "1177").await.unwrap_err();
    assert!(matches!(refused, NotAccepted::Refused(Refusal::NotFound)), "{refused:?}");
    assert_eq!(entries(&bench.table), Vec::new());
    // Nor is its message id taken.
    send(&cases, complaint("m1", &ii("c", "1"), "VC1"), "1177").await.unwrap();
}

#[tokio::test]
async fn numbers_stay_unique_when_a_record_is_damaged_and_every_other_case_goes_on() {
    let bench = Bench::new();
    let cases = bench.open();
    let mut numbers = Vec::new();
    for n in 1..=3 {
        let case = ii("c", &n.to_string());
        numbers.push(begin(&cases, &case, system("VC2", REGION)).await.receipt.number);
        add(&cases, &case, &format!("s{n}"), "VC2").await;
    }
    let leased = due(&cases, REGION)[1].clone();
    cases.lease(leased.id, cases.now()).await.unwrap();
    cases.engine().close().await;
    spoil(&bench.disk, r#""number":""#, &numbers[1]);

    let (cases, report) = bench.try_open(&Arc::default()).unwrap();
    assert!(report.damage_folded > 0);
    assert_eq!(cases.count().unwrap(), 2);
    assert!(cases.by_number(numbers[1].as_str()).unwrap().is_none());
    assert_eq!(due(&cases, REGION).len(), 2);
    let next = begin(&cases, &ii("c", "4"), store("VC1")).await.receipt.number;
    assert!(!numbers.contains(&next), "{next}");
}

#[tokio::test]
async fn numbers_that_a_lost_store_may_have_given_are_left_out_also_after_a_rebuild() {
    let bench = Bench::new();
    let cases = bench.open();
    begin(&cases, &ii("c", "1"), store("VC1")).await;
    let backup = cases.now();
    bench.clock.advance(Duration::from_secs(3600));
    let first = cases.note_restored(backup).await.unwrap();
    assert_eq!(first, limits::RESTORE_NUMBERS_SKIPPED + 3600);
    let number = begin(&cases, &ii("c", "2"), store("VC1")).await.receipt.number;
    assert_eq!(number, RegistrationNumber::of_ordinal(first + 2));
    cases.engine().close().await;
    let (cases, _) = bench.try_open(&Arc::default()).unwrap();
    let number = begin(&cases, &ii("c", "3"), store("VC1")).await.receipt.number;
    assert_eq!(number, RegistrationNumber::of_ordinal(first + 3));
    assert_eq!(cases.count().unwrap(), 3);
    // The backup was made by a clock that has been set back since.
    let ahead = clock::after(cases.now(), Duration::from_secs(60));
    let again = cases.note_restored(ahead).await.unwrap();
    assert_eq!(again, limits::RESTORE_NUMBERS_SKIPPED);
    let number = begin(&cases, &ii("c", "4"), store("VC1")).await.receipt.number;
    assert_eq!(number, RegistrationNumber::of_ordinal(first + again + 4));
}

/// The store that was backed up, and two made of that backup, the second a minute after the first.
#[tokio::test]
async fn stores_made_of_one_backup_one_after_the_other_give_different_numbers() {
    let mut given = std::collections::BTreeSet::new();
    for lost in [0, 60, 120] {
        let bench = Bench::new();
        let cases = bench.open();
        begin(&cases, &ii("c", "0"), store("VC1")).await;
        let backup = cases.now();
        bench.clock.advance(Duration::from_secs(lost));
        if lost > 0 {
            cases.note_restored(backup).await.unwrap();
        }
        for n in 1..=50 {
            let case = begin(&cases, &ii("c", &n.to_string()), store("VC1")).await;
            assert!(given.insert(case.receipt.number), "store {lost}, case {n}");
        }
    }
}

/// Turns a bit of the first record that holds the mark before the number.
fn spoil(disk: &MemoryDisk, mark: &str, number: &RegistrationNumber) {
    let wanted = format!("{mark}{number}");
    for name in names(disk) {
        let Some(mut bytes) = disk.content(&name) else { continue };
        let found = bytes.windows(wanted.len()).position(|it| it == wanted.as_bytes());
        if let Some(at) = found {
            bytes[at] ^= 1;
            disk.set_content(&name, bytes);
            return;
        }
    }
    panic!("no record holds {wanted}");
}

fn names(disk: &MemoryDisk) -> Vec<String> {
    use crate::store::journal::disk::Disk as _;
    disk.list().unwrap()
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_not_guessed_at() {
    let bench = Bench::new();
    let cases = bench.open();
    let newer = format!(r#"{{"v":{},"unheard":"of"}}"#, RECORD_VERSION + 1);
    let append =
        move |transaction: &mut Transaction<'_>| transaction.append(newer.as_bytes()).map(|_| ());
    let refused = cases.engine().submit(append).await.unwrap_err();
    let told = crate::telemetry::Chain(&refused).to_string();
    assert!(told.contains("newer version"), "{told}");
    begin(&cases, &ii("c", "1"), store("VC1")).await;
}

#[tokio::test]
async fn the_longest_ids_and_reasons_fit_in_the_views() {
    let bench = Bench::new();
    let cases = bench.open();
    let long = "𝄞".repeat(limits::LINE_CHARS_MAX);
    let case = Ii { root: long.clone(), extension: Some(long.clone()) };
    let mut reception = system("VC2", REGION);
    reception.receiver_name = "𝄞".repeat(10_000);
    if let Destination::System { id, .. } = &mut reception.destination {
        id.clone_from(&long);
    }
    begin(&cases, &case, reception).await;
    let why = "\u{1}𝄞\"\\".repeat(10_000);
    let item = due(&cases, &long)[0].clone();
    let again = Outcome::Again { at: cases.now(), why: why.clone() };
    let item = cases.tried(&item, again).await.unwrap();
    let item = cases.lease(item.id, cases.now()).await.unwrap();
    cases.tried(&item, Outcome::Parked { why: why.clone() }).await.unwrap();
    let held = cases.decide(item.id, Decision::Hold, why).await.unwrap();
    let ItemState::Held { why, .. } = &held.state else { panic!("{:?}", held.state) };
    assert_eq!(why.chars().count(), limits::WHY_CHARS_MAX + 1);
    let largest = entries(&bench.table).into_iter().map(|(_, value)| value.len()).max();
    assert!(largest.unwrap() <= limits::VIEW_VALUE_BYTES_MAX, "{largest:?}");
    assert_eq!(cases.case(&case).unwrap().unwrap().id, case);
    assert!(cases.owed_to().unwrap().contains(&long));
}

#[test]
fn a_stored_value_that_cannot_be_read_is_not_shown() {
    let stored = br#"{"v":1,"at":"199001012385","case":"199001012385"}"#;
    let error: record::FormError = serde_json::from_slice::<Record>(stored).unwrap_err().into();
    let told = error.to_string();
    assert!(told.contains("line 1"), "{told}");
    assert!(!told.contains("1990"), "{told}");
}

#[tokio::test]
async fn a_full_disk_refuses_and_what_was_refused_is_taken_when_there_is_room() {
    let bench = Bench::new();
    let cases = bench.open();
    begin(&cases, &ii("c", "1"), store("VC1")).await;
    cases.engine().close().await;
    bench.disk.set_free(0);
    let cases = bench.open();
    let message = complaint("m2", &ii("c", "2"), "VC1");
    let refused = send(&cases, message.clone(), "1177").await.unwrap_err();
    assert!(matches!(refused, NotAccepted::Unavailable(_)), "{refused:?}");
    bench.disk.set_free(u64::MAX);
    let taken = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match send(&cases, message.clone(), "1177").await {
                Ok(taken) => return taken,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
    assert!(!taken.await.unwrap().repeated);
}

#[tokio::test]
async fn a_file_that_no_record_names_goes_and_one_that_a_case_names_stays() {
    let bench = Bench::new();
    let cases = bench.open();
    let keep = |content: &[u8]| {
        let mut writer = cases.blobs().begin(1000).unwrap();
        writer.write(content).unwrap();
        writer.finish().unwrap().sha256
    };
    let (named, nameless) = (keep(b"%PDF-named"), keep(b"%PDF-nameless"));
    let case = ii("k", "files");
    begin(&cases, &case, store("VC1")).await;
    let mut message = supplement("more", &case);
    if let FromComplainant::Supplement(it) = &mut message.content {
        it.attachments = vec![crate::simulators::sample::attachment(1, &named, 10)];
    }
    cases.accept_complaint(message, hsa("VC1"), envelope("1177"), grounds(None)).await.unwrap();
    assert_eq!(cases.sweep_files().unwrap(), 0, "both are young");
    // The files are of the machine's day, the clock of the bench's.
    bench.clock.advance(Duration::from_secs(100 * 366 * 24 * 3600));
    assert_eq!(cases.sweep_files().unwrap(), 1);
    assert!(cases.blobs().open(&named).is_ok() && cases.blobs().open(&nameless).is_err());
    drop(cases);
    // The same when the views are made again from the journal.
    let (cases, _) = bench.try_open(&Arc::default()).unwrap();
    assert_eq!(cases.sweep_files().unwrap(), 0);
}
