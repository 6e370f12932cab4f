//! What a browser must bring back; logins at a real service are tried in `tests/it/login.rs`.

use super::*;
use crate::clock::HandClock;
use crate::tls::tests::Certificates;

fn service(certificates: &Certificates) -> (LoginService, HandClock) {
    let clock = certificates.clock.clone();
    let tls = ClientTls::new(certificates.settings(), Arc::new(clock.clone())).unwrap();
    let settings = Settings {
        issuer: "https://id.example.se".to_owned(),
        client_id: "klagomal".to_owned(),
        client_secret_file: None,
        address: "https://klagomal.example.se".to_owned(),
        scopes: Vec::new(),
        hsa_id_claim: "employeeHsaId".to_owned(),
        levels: Vec::new(),
    };
    (LoginService::new(settings, tls, Arc::new(clock.clone())).unwrap(), clock)
}

fn begun(service: &LoginService, back: &str) -> (Begun, String, String) {
    let now = service.shared.clock.now();
    let at = Timestamp::from_second(now.as_second()).unwrap();
    let begun = Begun { random: "a1".to_owned(), at, back: back.to_owned() };
    let (cookie, state) = (service.write(&begun), service.derive("state", &begun));
    (begun, cookie, state)
}

#[test]
fn a_login_is_found_again_by_its_cookie_and_state_and_by_nothing_else() {
    let certificates = Certificates::make();
    let (service, _) = service(&certificates);
    let (one, cookie, state) = begun(&service, "/arende/DNM-VMF-Y?å=ä");
    assert_eq!(service.begun(&cookie, &state).unwrap(), one);
    let (_, other, other_state) = begun(&service, "/sok");
    for (cookie, state) in [(&cookie, &other_state), (&other, &state), (&cookie, &String::new())] {
        assert!(matches!(service.begun(cookie, state), Err(OidcError::NotBegun(_))));
    }
    for (place, _) in cookie.char_indices() {
        let mut changed = cookie.clone();
        let letter = if changed.as_bytes()[place] == b'b' { "c" } else { "b" };
        changed.replace_range(place..=place, letter);
        // The last letter of a mark holds two bits that nothing reads: some letters are the same.
        let found = service.read(&changed);
        assert!(found.is_none_or(|it| it == one), "{changed}");
    }
    for broken in ["", ".", "...", "a.b.c.d", "a.1.YQ.", &format!("{cookie}.x")] {
        assert!(service.read(broken).is_none(), "{broken}");
    }
}

#[test]
fn a_login_of_another_process_or_of_long_ago_is_none() {
    let certificates = Certificates::make();
    let (one, clock) = service(&certificates);
    let (two, _) = service(&certificates);
    let (_, cookie, state) = begun(&one, "/");
    assert!(two.begun(&cookie, &state).is_err(), "another process has another key");
    clock.advance(limits::OIDC_LOGIN_TIME_MAX);
    assert!(one.begun(&cookie, &state).is_ok());
    clock.advance(Duration::from_secs(1));
    assert!(matches!(one.begun(&cookie, &state), Err(OidcError::NotBegun("it took too long"))));
}

#[test]
fn what_is_derived_differs_by_purpose_and_fits_pkce() {
    let certificates = Certificates::make();
    let (service, _) = service(&certificates);
    let (begun, ..) = begun(&service, "/");
    let all = ["cookie", "state", "nonce", "verifier"].map(|it| service.derive(it, &begun));
    let different: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!(different.len(), 4);
    assert!(all.iter().all(|it| (43..=128).contains(&it.len())));
}

#[test]
fn a_code_of_the_login_service_is_told_without_its_words() {
    let told = OidcError::refused("access_denied\nFel: 191212121212 <script>").to_string();
    assert_eq!(told, "the login service refused: access_denied");
}
