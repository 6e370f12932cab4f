//! Rows brought in order: the same once, overlaps settled, and where the platform would have had two
//! routes at the same time.

use jiff::Timestamp;
use jiff::civil::Date;

use super::super::period::Days;
use super::checked::{PermissionRow, RouteRow};
use crate::clock;

/// What settling routes came to.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// In order of contract, address, profile and day; no two of a profile hold on the same day.
    pub(super) routes: Vec<RouteRow>,
    /// Routes that could not stand beside another, and why.
    pub(super) left: Vec<(RouteRow, String)>,
    pub(super) notes: Vec<String>,
    /// Rows that said what others say, and became one with them.
    pub(super) joined: usize,
}

/// Puts routes in order, joins those that say the same, and ends one the day before where the next
/// begins on its last day. Of two that overlap further, the one that
/// began first stands.
pub(super) fn routes(mut rows: Vec<RouteRow>) -> Settled {
    rows.sort_by_cached_key(|it| (key(it), it.days, it.goal.clone()));
    let mut settled = Settled::default();
    for row in rows {
        let last = settled.routes.last_mut();
        match last.filter(|it| it.is_at(&row) && it.profile == row.profile) {
            Some(last) if last.days.and(row.days).is_some() => {
                if last.goal == row.goal {
                    last.days = hull(last.days, row.days);
                    settled.joined += 1;
                } else if let Some(shorter) = ends_as_it_begins(last.days, row.days) {
                    let text = format!(
                        "{} at {}: the route to {} is ended on {}, as the one to {} begins on {}",
                        row.contract,
                        row.address,
                        last.goal.url(),
                        shorter.last(),
                        row.goal.url(),
                        row.days.first()
                    );
                    settled.notes.push(text);
                    last.days = shorter;
                    settled.routes.push(row);
                } else {
                    // Of two that begin together, the one that holds longest stands.
                    let other = if last.days.from() == row.days.from() {
                        std::mem::replace(last, row)
                    } else {
                        row
                    };
                    let why = format!(
                        "another route, to {}, holds on some of the same days ({})",
                        last.goal.url(),
                        last.days
                    );
                    settled.left.push((other, why));
                }
            }
            Some(_) | None => settled.routes.push(row),
        }
    }
    settled
}

fn key(it: &RouteRow) -> (String, String, super::super::model::Profile) {
    (it.contract.to_ascii_lowercase(), it.address.to_ascii_lowercase(), it.profile)
}

fn hull(a: Days, b: Days) -> Days {
    let from = a.from().zip(b.from()).map(|(a, b)| a.min(b));
    let to = a.to().zip(b.to()).map(|(a, b)| a.max(b));
    Days::new(from, to).unwrap_or(a)
}

/// `old` without its last day, where that is the first of `new` and not all of `old`.
fn ends_as_it_begins(old: Days, new: Days) -> Option<Days> {
    let begins = new.from().filter(|it| Some(*it) == old.to())?;
    let to: Date = begins.yesterday().ok()?;
    Days::new(old.from(), Some(to))
}

/// Puts permissions in order and joins those that say the same for days that overlap. Returns how
/// many were joined.
pub(super) fn permissions(rows: &mut Vec<PermissionRow>) -> usize {
    rows.sort_by_cached_key(|it| {
        (
            it.contract.to_ascii_lowercase(),
            it.address.to_ascii_lowercase(),
            it.consumer.to_ascii_lowercase(),
            it.filters.clone(),
            it.days,
        )
    });
    let before = rows.len();
    rows.dedup_by(|row, last| {
        let joins =
            last.is_at(row) && last.filters == row.filters && last.days.and(row.days).is_some();
        if joins {
            last.days = hull(last.days, row.days);
        }
        joins
    });
    before - rows.len()
}

/// Where the platform, which reads times without zone half a day early and late, would have found
/// two routes at once. `rows` as read; those that are over at `now` are only counted.
pub(super) fn windows(rows: &[RouteRow], now: Timestamp) -> (Vec<String>, usize) {
    let mut order: Vec<&RouteRow> = rows.iter().collect();
    order.sort_by_cached_key(|it| {
        let key = key(it);
        (key.0, key.1, it.days)
    });
    let (mut texts, mut past) = (Vec::new(), 0);
    for (old, new) in order.iter().zip(order.iter().skip(1)) {
        let (Some(begins), Some(ends)) = (new.from, old.to) else { continue };
        let follows = old.days.to().zip(new.days.from()).is_some_and(|(to, from)| to <= from);
        if !old.is_at(new) || !follows || (begins.has_zone() && ends.has_zone()) {
            continue;
        }
        let (begins, ends) = (begins.platform_begins(), ends.platform_ends());
        if begins > ends {
            continue;
        }
        if ends < now {
            past += 1;
            continue;
        }
        texts.push(format!(
            "{} at {}: the platform has two routes from {} to {} (VP006); here the new one, to \
             {}, takes over at midnight as {} begins",
            old.contract,
            old.address,
            local(begins),
            local(ends),
            new.goal.url(),
            new.days.first(),
        ));
    }
    (texts, past)
}

fn local(at: Timestamp) -> String {
    at.to_zoned(clock::swedish()).strftime("%Y-%m-%d %H:%M").to_string()
}
