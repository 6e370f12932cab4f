//! The small notations of the configuration: waits, rates, URLs, and the nearest known word.

use std::time::Duration;

/// Reads `500ms`, `29s`, `2m` or `5min`, `1h`, `7d`; a whole number above zero, at most a year.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok().filter(|it| *it > 0)?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match unit.trim_start() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" | "min" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        _ => None,
    }
    // A wait beyond a year is a slip of the pen.
    .filter(|it| *it <= Duration::from_secs(366 * 86_400))
}

/// What is wrong with a URL that calls are to be made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UrlFault {
    /// Does not read as a URL.
    NotAUrl,
    /// Neither http nor https.
    Scheme,
    /// No host.
    NoHost,
    /// A user name or password in it.
    UserInfo,
    /// Has a fragment, which is never sent.
    Fragment,
    /// Plain http to a host that is not this machine.
    Plain,
}

/// Checks a URL. [`UrlFault::Plain`] is a remark; the others make the URL unusable.
pub(super) fn url_fault(text: &str) -> Option<UrlFault> {
    if text.contains('#') {
        return Some(UrlFault::Fragment);
    }
    let Ok(uri) = text.parse::<http::Uri>() else { return Some(UrlFault::NotAUrl) };
    let scheme = match uri.scheme_str() {
        Some(scheme) if scheme == "http" || scheme == "https" => scheme,
        Some(_) => return Some(UrlFault::Scheme),
        None => return Some(UrlFault::NotAUrl),
    };
    let Some(authority) = uri.authority() else { return Some(UrlFault::NoHost) };
    if authority.as_str().contains('@') {
        return Some(UrlFault::UserInfo);
    }
    let host = authority.host();
    if host.is_empty() {
        return Some(UrlFault::NoHost);
    }
    if port(authority.as_str()).is_some_and(|it| !it.parse::<u16>().is_ok_and(|it| it > 0)) {
        return Some(UrlFault::NotAUrl);
    }
    (scheme == "http" && !is_loopback(host)).then_some(UrlFault::Plain)
}

/// What stands after the last colon that is not inside an IPv6 address.
fn port(authority: &str) -> Option<&str> {
    let after = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    after.rsplit_once(':').map(|(_, port)| port)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// The word of `known` that somebody most likely meant, where one is near enough.
pub(super) fn nearest<'a>(
    meant: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted = meant.to_lowercase();
    // Two texts are at least as far apart as their lengths: most need no closer look.
    let near = |it: &&str| it.len().abs_diff(meant.len()) <= it.len().max(meant.len()) / 3;
    known
        .into_iter()
        .filter(near)
        .map(|it| (strsim::damerau_levenshtein(&wanted, &it.to_lowercase()), it))
        .filter(|(distance, it)| *distance <= it.len().max(wanted.len()) / 3)
        .min()
        .map(|(_, it)| it)
}
