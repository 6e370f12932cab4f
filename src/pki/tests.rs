//! What `certs make` writes, and what `certs revoke` does to it.

use super::*;

fn now() -> Timestamp {
    "2026-11-20T08:00:00Z".parse().unwrap()
}

#[test]
fn every_kind_has_a_chain_a_private_key_and_a_line_in_the_readme() {
    let dir = tempfile::tempdir().unwrap();
    let made = make(dir.path(), now()).unwrap();
    let readme = fs::read_to_string(dir.path().join("README.md")).unwrap();
    for kind in kinds() {
        let chain = fs::read(dir.path().join(format!("{}.crt", kind.name))).unwrap();
        let expected = if kind.signer == kinds::Signer::Function { 2 } else { 1 };
        assert_eq!(blocks(kind.name, &chain, "CERTIFICATE").unwrap().len(), expected);
        let key = dir.path().join(format!("{}.key", kind.name));
        assert_eq!(blocks("key", &fs::read(&key).unwrap(), "PRIVATE KEY").unwrap().len(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(readme.contains(&format!("`{}.crt`", kind.name)));
    }
    for name in &made.files {
        assert!(readme.contains(name.as_str()) || name == "README.md", "{name} is not explained");
    }
}

#[test]
fn a_folder_with_an_authority_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), now()).unwrap();
    let before = fs::read(dir.path().join("ca.crt")).unwrap();
    assert!(matches!(make(dir.path(), now()), Err(PkiError::Taken { .. })));
    assert_eq!(fs::read(dir.path().join("ca.crt")).unwrap(), before);
}

#[test]
fn the_two_hsa_ids_are_two_serial_numbers_of_one_subject() {
    let files = make_in_memory(now()).unwrap();
    let leaf = first_block("two", &files["two-hsa-ids.crt"], "CERTIFICATE").unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    let serial_number = x509_parser::oid_registry::OID_X509_SERIALNUMBER;
    let ids: Vec<_> =
        parsed.subject().iter_by_oid(&serial_number).map(|id| id.as_str().unwrap()).collect();
    assert_eq!(ids, ["SE0000000000-REGION", "SE0000000000-1177"]);
}

#[test]
fn certificates_last_ten_years_from_the_day_they_are_made() {
    let files = make_in_memory(now()).unwrap();
    let leaf = first_block("gateway", &files["gateway.crt"], "CERTIFICATE").unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    let end = Timestamp::from_second(parsed.validity().not_after.timestamp()).unwrap();
    assert_eq!(end.to_string(), "2036-11-20T08:00:00Z");
}

fn revoked(dir: &Path) -> Vec<Vec<u8>> {
    let lists = blocks("crl", &fs::read(dir.join(REVOKED_CRL)).unwrap(), "X509 CRL").unwrap();
    assert_eq!(lists.len(), 2, "one list for each authority");
    let mut serials = Vec::new();
    for der in &lists {
        let (_, list) =
            x509_parser::revocation_list::CertificateRevocationList::from_der(der).unwrap();
        serials.extend(list.iter_revoked_certificates().map(|one| one.raw_serial().to_vec()));
    }
    serials
}

#[test]
fn revoking_adds_one_serial_and_keeps_those_before() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), now()).unwrap();
    let before = revoked(dir.path());
    assert_eq!(before.len(), 1);
    revoke(dir.path(), "region", now()).unwrap();
    let after = revoked(dir.path());
    assert_eq!(after.len(), 2);
    assert!(after.contains(&before[0]));
    revoke(dir.path(), "region", now()).unwrap();
    assert_eq!(revoked(dir.path()).len(), 2);
}

#[test]
fn what_the_function_ca_did_not_sign_it_cannot_revoke() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), now()).unwrap();
    assert!(matches!(revoke(dir.path(), "from-wrong-ca", now()), Err(PkiError::NotOurs { .. })));
    assert!(matches!(revoke(dir.path(), "nobody", now()), Err(PkiError::File { .. })));
}
