//! The profile rewrite: what was well formed is so afterwards, and goes to the same address in the
//! other profile; any cut gives the same.

use klagomal::soap::{Head, MessageReader, Profile, ReadError, Translator};
use klagomal::xml::Document;

pub fn try_one(data: &[u8]) {
    for from in [Profile::Rivtabp20, Profile::Rivtabp21] {
        let whole = translate(&[data], from);
        assert_eq!(whole.is_ok(), translate(&crate::cut(data), from).is_ok(), "cut otherwise");
        if let Ok(whole) = whole {
            assert_eq!(Ok(whole), translate(&crate::cut(data), from), "cut otherwise");
        }
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(Some(before)) = head(data) else { return };
    let Ok(written) = translate(&[data], before.profile) else { return };
    let after = head(&written);
    let told = String::from_utf8_lossy(&written);
    let after = match after {
        Ok(Some(after)) => after,
        other => panic!("the head cannot be read again: {other:?}\n{told}"),
    };
    assert_ne!(before.profile, after.profile, "{told}");
    assert_eq!(before.address, after.address, "{told}");
    if Document::parse(text).is_ok() {
        let again = Document::parse(&told);
        assert!(again.is_ok(), "no longer well formed: {:?}\n{told}", again.err());
        assert_eq!(before.operation, after.operation, "{told}");
    }
}

fn translate(pieces: &[&[u8]], from: Profile) -> Result<Vec<u8>, ReadError> {
    let (mut translator, mut out) = (Translator::new(from), Vec::new());
    for piece in pieces {
        translator.push(piece, &mut out)?;
    }
    translator.finish()?;
    Ok(out)
}

fn head(bytes: &[u8]) -> Result<Option<Head>, ReadError> {
    let mut reader = MessageReader::head_only(Some("text/xml; charset=utf-8"))?;
    reader.push(bytes)?;
    Ok(reader.head().cloned())
}
