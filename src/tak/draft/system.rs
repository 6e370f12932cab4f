//! Reads `[[system]]`: those who call, and those who are called.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::finding::Findings;
use super::super::model::{Delivery, Rate, Retry, WhenUnknown};
use super::super::read::{Fields, Told};
use super::super::values::{UrlFault, url_fault};
use super::{SystemDraft, owned};
use crate::limits;

pub(super) fn system(fields: &Fields<'_>, f: &mut Findings) -> SystemDraft {
    fields.only(
        &[
            "id",
            "hsa_id",
            "name",
            "url",
            "timeout",
            "delivery",
            "rate",
            "rate_in",
            "original_consumer",
            "certificate",
            "key",
            "trust",
            "when_unknown",
            "retry",
            "give_up_after",
            "notify",
            "source_system",
        ],
        f,
    );
    let url = fields.text("url", f);
    let mut path = |key| fields.text(key, f).map(|it| PathBuf::from(it.value));
    let (certificate, key, trust) = (path("certificate"), path("key"), path("trust"));
    if certificate.is_some() != key.is_some() {
        let (has, lacks) =
            if key.is_some() { ("key", "certificate") } else { ("certificate", "key") };
        f.error(
            fields.key_place(has),
            format!("[[system]] has \"{has}\" and no \"{lacks}\""),
            "a client identity is both; leave both out to use the gateway's own".to_owned(),
        );
    }
    let kinds = [("direct", Delivery::Direct), ("queued", Delivery::Queued)];
    let unknown = [("hold", WhenUnknown::Hold), ("resend", WhenUnknown::Resend)];
    SystemDraft {
        place: fields.place,
        id: system_id(fields, f),
        hsa_id: fields.required_hsa_id("hsa_id", f),
        name: owned(fields.required_text("name", f)).map(|it| it.value),
        has_url: fields.has("url"),
        url: url.and_then(|it| checked_url("url", fields.what, &it, f)),
        timeout: fields.wait("timeout", f),
        delivery: fields.word("delivery", &kinds, f).map_or(Delivery::Direct, |it| it.value),
        rate: system_rate("rate", fields, f),
        rate_in: system_rate("rate_in", fields, f),
        original_consumer: fields.flag("original_consumer", f).is_some_and(|it| it.value),
        certificate,
        key,
        trust,
        when_unknown: fields.word("when_unknown", &unknown, f),
        retry: retry(fields, f),
        notify: fields.flag("notify", f),
        source_system: owned(fields.text("source_system", f)),
    }
}

fn system_id(fields: &Fields<'_>, f: &mut Findings) -> Option<Told<String>> {
    let id = fields.text("id", f)?;
    let plain = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_' || it == '.';
    if id.value.chars().all(plain) {
        return owned(Some(id));
    }
    f.error(
        id.place,
        format!(
            "\"id\" of [[system]] has other characters than letters and digits: \"{}\"",
            id.value
        ),
        "use a-z, 0-9, \"-\", \"_\" and \".\": it names the system in logs and file names"
            .to_owned(),
    );
    None
}

fn system_rate(key: &'static str, fields: &Fields<'_>, f: &mut Findings) -> Option<Rate> {
    let it = fields.text(key, f)?;
    let value = Rate::parse(it.value);
    if value.is_none() {
        f.error(
            it.place,
            format!("\"{key}\" of [[system]] is not a rate: \"{}\"", it.value),
            "write calls per second, minute or hour: \"10/s\", \"30/min\", \"100/h\"".to_owned(),
        );
    }
    value
}

fn retry(fields: &Fields<'_>, f: &mut Findings) -> Retry {
    let mut retry = Retry::default();
    if let Some(texts) = fields.texts("retry", f) {
        let waits: Vec<_> = texts.iter().filter_map(|it| fields.wait_in("retry", it, f)).collect();
        if texts.is_empty() {
            let hint = "give at least one wait, or leave the key out".to_owned();
            f.error(fields.key_place("retry"), "\"retry\" of [[system]] is empty".to_owned(), hint);
        } else {
            retry.waits = waits;
        }
    }
    if let Some(wait) = fields.wait("give_up_after", f) {
        retry.give_up_after = wait;
    }
    retry
}

pub(super) fn checked_url(
    key: &str,
    what: &str,
    it: &Told<&str>,
    f: &mut Findings,
) -> Option<Arc<str>> {
    let text = it.value.trim();
    let (message, hint) = match url_fault(text) {
        None => return Some(text.into()),
        Some(UrlFault::Plain) => {
            f.warn(
                it.place,
                format!("\"{key}\" of {what} is plain http to another machine: \"{text}\""),
                "use https: what is sent can be read and changed on the way".to_owned(),
            );
            return Some(text.into());
        }
        Some(UrlFault::NotAUrl) => ("is not a URL", "as https://host:443/path"),
        Some(UrlFault::Scheme) => ("is neither http nor https", "as https://host:443/path"),
        Some(UrlFault::NoHost) => ("has no host", "as https://host:443/path"),
        Some(UrlFault::UserInfo) => {
            ("has a user name in it", "systems are known by certificate: take out what is before @")
        }
        Some(UrlFault::Fragment) => ("has a \"#\" in it", "take out \"#\" and what follows"),
    };
    f.error(it.place, format!("\"{key}\" of {what} {message}: \"{text}\""), hint.to_owned());
    None
}

/// How often a live TAK is asked.
pub(super) fn every(fields: &Fields<'_>, f: &mut Findings) -> Option<Duration> {
    let place = fields.key_place("tak_every");
    if fields.has("tak_every") && !fields.has("tak") {
        let hint = "add tak = \"...\", the system that gives routes and permissions".to_owned();
        f.warn(place, "tak_every has no effect without tak".to_owned(), hint);
    }
    let wait = fields.wait("tak_every", f)?;
    if (limits::TAK_FETCH_EVERY_MIN..=limits::TAK_FETCH_EVERY_MAX).contains(&wait) {
        return Some(wait);
    }
    let message = "\"tak_every\" of [platform] is too short or too long".to_owned();
    let (least, most) = (limits::TAK_FETCH_EVERY_MIN, limits::TAK_FETCH_EVERY_MAX);
    let (least, most) = (least.as_secs() / 60, most.as_secs() / 3600);
    f.error(place, message, format!("write {least}min to {most}h, as \"10min\""));
    None
}
