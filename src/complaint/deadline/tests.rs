//! Terms over weekends, holidays and both changes of the clock.

use jiff::civil::{Weekday, date};
use jiff::{Timestamp, ToSpan as _};
use proptest::prelude::*;

use super::*;
use crate::complaint::case::Asked;
use crate::complaint::command;

fn at(local: &str) -> Timestamp {
    let civil: jiff::civil::DateTime = local.parse().unwrap();
    clock::swedish().to_timestamp(civil).unwrap()
}

fn end(term: Term, start: &str) -> String {
    let end = term.end(at(start), |_| true).unwrap();
    end.to_zoned(clock::swedish()).strftime("%Y-%m-%dT%H:%M").to_string()
}

#[test]
fn forty_eight_hours_stand_still_on_days_without_work() {
    let term = Term::WorkingHours(48);
    for (start, expected) in [
        ("2026-03-02T10:00", "2026-03-04T10:00"),
        // Friday afternoon, Saturday, Sunday night.
        ("2026-03-06T15:00", "2026-03-10T15:00"),
        ("2026-03-07T12:00", "2026-03-11T00:00"),
        ("2026-03-08T23:59", "2026-03-11T00:00"),
        // Skärtorsdagen: långfredag, weekend and annandag påsk stand between.
        ("2026-04-02T15:00", "2026-04-08T15:00"),
        // Julafton to annandag jul, then a weekend.
        ("2026-12-23T09:00", "2026-12-29T09:00"),
        // Over the nights when the clock is changed: Sundays.
        ("2026-03-27T15:00", "2026-03-31T15:00"),
        ("2026-10-23T15:00", "2026-10-27T15:00"),
    ] {
        assert_eq!(end(term, start), expected, "{start}");
    }
}

#[test]
fn days_end_with_their_last_one() {
    assert_eq!(end(Term::Days(28), "2026-03-02T23:59"), "2026-03-31T00:00");
    assert_eq!(end(Term::Days(1), "2026-03-02T00:00"), "2026-03-04T00:00");
    // Two weeks from the Thursday before Easter: four days less to work on.
    assert_eq!(end(Term::WorkingDays(10), "2026-04-02T08:00"), "2026-04-21T00:00");
    assert_eq!(end(Term::WorkingDays(1), "2026-06-18T08:00"), "2026-06-23T00:00");
}

fn case() -> Case {
    command::tests::a_case()
}

fn asked(case: &mut Case, from: &str, to: Option<&str>) {
    let question = Asked { id: from.to_owned(), at: at(from), answered: to.map(at) };
    case.questions.push(question);
    case.contacted = case.contacted.or(Some(at(from)));
}

#[test]
fn the_reply_rests_while_the_complainant_is_asked() {
    let mut case = case();
    case.opened = at("2026-03-02T10:00");
    let due = |case: &Case| Terms::STANDARD.of(case).reply.due.map(clock::swedish_day);
    assert_eq!(due(&case), Some(date(2026, 3, 31)));
    asked(&mut case, "2026-03-10T09:00", None);
    assert_eq!(due(&case), None);
    assert_eq!(Terms::STANDARD.of(&case).reply.stand(at("2026-09-01T09:00")), Stand::Rests);
    case.questions.clear();
    asked(&mut case, "2026-03-10T09:00", Some("2026-03-13T20:00"));
    assert_eq!(due(&case), Some(date(2026, 4, 3)), "three nights more");
    asked(&mut case, "2026-03-12T09:00", Some("2026-03-14T09:00"));
    assert_eq!(due(&case), Some(date(2026, 4, 4)), "nights are not counted twice");
    asked(&mut case, "2026-03-20T09:00", Some("2026-03-20T10:00"));
    assert_eq!(due(&case), Some(date(2026, 4, 4)), "answered the same day");
    // Asked when it was late already: it stays late.
    asked(&mut case, "2026-04-20T09:00", None);
    assert_eq!(Terms::STANDARD.of(&case).reply.stand(at("2026-05-01T09:00")), Stand::Overdue);
}

#[test]
fn each_promise_goes_from_ahead_over_near_to_overdue_until_it_is_kept() {
    let mut case = case();
    case.opened = at("2026-03-02T10:00");
    let contact =
        |case: &Case, now| Terms::STANDARD.of(case).first_contact.map(|it| it.stand(at(now)));
    assert_eq!(contact(&case, "2026-03-03T09:59"), Some(Stand::Ahead));
    assert_eq!(contact(&case, "2026-03-03T10:00"), Some(Stand::Near));
    assert_eq!(contact(&case, "2026-03-04T09:59"), Some(Stand::Near));
    assert_eq!(contact(&case, "2026-03-04T10:00"), Some(Stand::Overdue));
    assert_eq!(Terms::STANDARD.of(&case).worst(at("2026-03-04T10:00")), Stand::Overdue);
    case.contacted = Some(at("2026-03-05T10:00"));
    assert_eq!(contact(&case, "2026-03-09T10:00"), Some(Stand::Met));
    assert_eq!(Terms::STANDARD.of(&case).worst(at("2026-03-09T10:00")), Stand::Ahead);
    case.reply_wanted = false;
    assert_eq!(contact(&case, "2026-03-09T10:00"), None);
}

#[test]
fn terms_read_as_they_are_written() {
    for (text, term) in [
        ("48 working hours", Some(Term::WorkingHours(48))),
        ("10 working days", Some(Term::WorkingDays(10))),
        ("1 day", Some(Term::Days(1))),
        ("4 weeks", Some(Term::Days(28))),
        ("0 days", None),
        ("53 weeks", None),
        ("9363 weeks", None),
        ("-1 days", None),
        ("4weeks", None),
        ("4 months", None),
    ] {
        assert_eq!(Term::parse(text), term, "{text}");
    }
}

fn any_term() -> impl Strategy<Value = Term> {
    prop_oneof![
        (1..200_u16).prop_map(Term::WorkingHours),
        (1..60_u16).prop_map(Term::WorkingDays),
        (1..100_u16).prop_map(Term::Days),
    ]
}

/// Any second of thirty years.
fn any_start() -> impl Strategy<Value = Timestamp> {
    (1_767_000_000_i64..2_713_000_000).prop_map(|at| Timestamp::from_second(at).unwrap())
}

/// Seconds of working days between two moments, minute by minute.
fn working_minutes(from: Timestamp, to: Timestamp) -> i64 {
    let mut count = 0;
    let mut at = from;
    while at < to {
        count += i64::from(is_working(clock::swedish_day(at)));
        at = at.checked_add(1.minute()).unwrap();
    }
    count
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_later_start_never_ends_earlier(term in any_term(), start in any_start(), later in 0..200_000_i64) {
        let after = start.checked_add(later.seconds()).unwrap();
        let (one, two) = (term.end(start, |_| true).unwrap(), term.end(after, |_| true).unwrap());
        prop_assert!(start < one && one <= two);
    }

    #[test]
    fn a_term_of_days_ends_at_a_midnight_after_a_day_that_counts(term in any_term(), start in any_start()) {
        let end = term.end(start, |_| true).unwrap().to_zoned(clock::swedish());
        if !matches!(term, Term::WorkingHours(_)) {
            prop_assert_eq!(end.time(), Time::midnight());
        }
        let last = clock::swedish_day(end.timestamp().checked_sub(1.nanosecond()).unwrap());
        if matches!(term, Term::Days(_)) {
            let days = clock::swedish_day(start).until(last).unwrap().get_days();
            prop_assert!(term == Term::Days(u16::try_from(days).unwrap()));
        } else {
            prop_assert!(is_working(last));
        }
    }

    #[test]
    fn working_hours_are_the_hours_of_working_days(hours in 1..100_u16, start in any_start()) {
        let start = Timestamp::from_second(start.as_second() / 60 * 60).unwrap();
        let end = Term::WorkingHours(hours).end(start, |_| true).unwrap();
        prop_assert_eq!(working_minutes(start, end), i64::from(hours) * 60);
    }

    #[test]
    fn working_days_count_the_working_days_after_the_first(days in 1..40_u16, start in any_start()) {
        let end = Term::WorkingDays(days).end(start, |_| true).unwrap();
        let first = clock::swedish_day(start).tomorrow().unwrap();
        let between = first.series(1.day()).take_while(|day| *day < clock::swedish_day(end));
        prop_assert_eq!(between.filter(|day| is_working(*day)).count(), usize::from(days));
    }

    #[test]
    fn waiting_never_shortens(start in any_start(), from in 0..40_i64, days in 0..40_i64) {
        let mut case = case();
        case.opened = start;
        let without = Terms::STANDARD.of(&case).reply.due.unwrap();
        let from = start.checked_add((from * 24).hours()).unwrap();
        let answered = Some(from.checked_add((days * 24).hours()).unwrap());
        case.questions.push(Asked { id: "1".to_owned(), at: from, answered });
        let with = Terms::STANDARD.of(&case).reply.due.unwrap();
        prop_assert!(with >= without);
        let (with, without) = (clock::swedish_day(with), clock::swedish_day(without));
        prop_assert!(i64::from(without.until(with).unwrap().get_days()) <= days + 1);
    }
}

#[test]
fn a_saturday_is_never_worked_on() {
    let days = date(2026, 1, 1).series(1.day()).take(3660);
    let weekend = |day: &Date| matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    assert!(days.filter(weekend).all(|day| !is_working(day)));
}
