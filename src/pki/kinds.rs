//! The table of what `certs make` issues: who each certificate is, and what is wrong with the bad ones.

use std::fmt::Write as _;

/// Who signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The function CA, under the test root.
    Function,
    /// The person CA, a root of its own: cards are not trusted as systems are.
    Person,
    /// A root that nobody trusts.
    Wrong,
    /// The certificate itself.
    Itself,
}

/// From when until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// From the day before it was made, for ten years.
    Valid,
    /// The year 2020.
    Past,
    /// The year 2090.
    Future,
}

/// How the HSA-id stands in the subject's serialNumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    /// Not at all.
    None,
    /// As a PrintableString.
    Printable(&'static str),
    /// As a UTF8String.
    Utf8(&'static str),
    /// Two of them.
    Two(&'static str, &'static str),
}

/// The key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Elliptic curve P-256.
    P256,
    /// Elliptic curve P-384.
    P384,
    /// RSA, 2048 bits.
    Rsa2048,
}

/// One certificate of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// File name without ending, and common name.
    pub name: &'static str,
    /// HSA-id.
    pub id: Id,
    /// Who signs it.
    pub signer: Signer,
    /// When it is valid.
    pub span: Span,
    /// May be used by a caller, too (otherwise by a server only).
    pub client: bool,
    /// Its key.
    pub key: Key,
    /// Stands on `revoked.crl` from the beginning.
    pub revoked: bool,
    /// What it is for.
    pub purpose: &'static str,
}

/// Every certificate of the set: first the roster, then those with something the matter.
#[must_use]
pub fn kinds() -> Vec<Kind> {
    let region = Id::Printable("SE0000000000-REGION");
    let good = |name, id, purpose| Kind {
        name,
        id: Id::Printable(id),
        signer: Signer::Function,
        span: Span::Valid,
        client: true,
        key: Key::P256,
        revoked: false,
        purpose,
    };
    let person = |name, id, purpose| Kind { signer: Signer::Person, ..good(name, id, purpose) };
    let odd = |name, purpose| Kind { id: region, ..good(name, "", purpose) };
    vec![
        good("gateway", "SE0000000000-GATEWAY", "the gateway itself, as server and as caller"),
        good("1177", "SE0000000000-1177", "the 1177 platform"),
        good("inkorg", "SE0000000000-INKORG", "1177 Inkorg"),
        good("region", "SE0000000000-REGION", "Region Exempel, ärendesystem"),
        good("obehorig", "SE0000000000-OBEHORIG", "a system that is known but permitted nothing"),
        good("anna", "SE0000000000-ANNA", "staff: Anna"),
        good("bo", "SE0000000000-BO", "staff: Bo"),
        person("person-anna", "SE0000000000-ANNA", "card: Anna Påhittad, Testvårdcentralen"),
        person(
            "person-bo",
            "SE0000000000-BO",
            "card: Bo Påhittad, Testvårdcentralen and dental care",
        ),
        person("person-p1", "SE0000000000-P1", "card: Cecilia Påhittad, kvalitetsansvarig"),
        person("person-p2", "SE0000000000-P2", "card: David Påhittad, granskare"),
        person("person-p3", "SE0000000000-P3", "card: Eva Påhittad, lokal administratör"),
        person("person-p4", "SE0000000000-P4", "card: Filip Påhittad, Testpatientnämnden"),
        person("person-obehorig", "SE0000000000-P9", "card: somebody with no role anywhere"),
        Kind {
            id: Id::Utf8("SE0000000000-REGION"),
            ..odd("hsa-id-in-utf8string", "good: the HSA-id is a UTF8String")
        },
        Kind {
            id: Id::Printable("  se0000000000-region "),
            ..odd("lower-case-with-blanks", "good: the HSA-id in lower case, blanks around it")
        },
        Kind { key: Key::P384, ..odd("p384", "good: a P-384 key") },
        Kind { key: Key::Rsa2048, ..odd("rsa", "good: a 2048 bit RSA key, as SITHS uses") },
        Kind { span: Span::Past, ..odd("expired", "refused: ran out at the end of 2020") },
        Kind { span: Span::Future, ..odd("not-yet-valid", "refused: valid in 2090") },
        Kind {
            signer: Signer::Wrong,
            ..odd("from-wrong-ca", "refused: signed by `wrong-ca.crt`, which is not trusted")
        },
        Kind { signer: Signer::Itself, ..odd("self-signed", "refused: signed by itself") },
        Kind { revoked: true, ..odd("revoked", "refused where `revoked.crl` is in use") },
        Kind {
            client: false,
            ..odd("wrong-key-usage", "refused as a caller: its extended key usage is server only")
        },
        Kind {
            id: Id::None,
            ..odd("no-hsa-id", "no HSA-id: the handshake succeeds, no call does")
        },
        Kind {
            id: Id::Two("SE0000000000-REGION", "SE0000000000-1177"),
            ..odd("two-hsa-ids", "two HSA-ids: the handshake succeeds, no call does")
        },
    ]
}

/// The folder's README: every file and what it is for.
#[must_use]
pub(super) fn readme() -> String {
    let mut out = String::from(
        "# Test certificates\n\n\
         Made by `klagomal certs make`. **For tests only.** The authority's keys lie in this folder\n\
         (`klagomal certs revoke` needs them), so whoever reads it can be anybody: never trust\n\
         `ca.crt` in production. All names are made up. Valid for ten years.\n\n\
         | File | What it is |\n|---|---|\n\
         | `ca.crt`, `ca.key` | the test root: put `ca.crt` on a trust list |\n\
         | `function-ca.crt`, `function-ca.key` | the intermediate that signs the function \
         certificates |\n\
         | `person-ca.crt` | the root that signs the cards of persons, for `[staff] trust` |\n\
         | `wrong-ca.crt` | another root, to be trusted by nobody |\n\
         | `empty.crl` | revocation lists of the root and of the function CA, nobody on them |\n\
         | `revoked.crl` | the same with `revoked` on it; `certs revoke` adds to it |\n",
    );
    for kind in kinds() {
        // Writing to a String cannot fail.
        if writeln!(out, "| `{0}.crt`, `{0}.key` | {1} |", kind.name, kind.purpose).is_err() {
            break;
        }
    }
    out.push_str(
        "\nEach `.crt` holds the certificate and, where there is one, the intermediate; each `.key`\n\
         is PKCS #8, readable by its owner only. Subject: `serialNumber` (the HSA-id), `CN`, \
         `O=Region Exempel (test)`, `C=SE`.\n\
         Alternative names: `localhost`, `127.0.0.1`, `::1`.\n",
    );
    out
}
