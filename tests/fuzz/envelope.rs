//! The envelope reader: a message says the same whole and in pieces, its head the same with and
//! without the rest.

use klagomal::soap::{Encoding, Head, MessageReader, Part, ReadError, Recoder, Skeleton};

/// What a file came to: its bytes, and why they ended.
type Files = Vec<(Vec<u8>, bool)>;

pub fn try_one(data: &[u8]) {
    let (content_type, message) = content_type(data);
    let whole = read(&[message], content_type);
    let pieces = read(&crate::cut(message), content_type);
    match (&whole, &pieces) {
        (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces, "cut otherwise"),
        // Which of several faults is seen first may depend on how much comes at once.
        (Err(_), Err(_)) => {}
        (whole, pieces) => panic!("whole: {whole:?}\nin pieces: {pieces:?}"),
    }
    for to in [Encoding::Utf8, Encoding::Utf16Le, Encoding::Latin1] {
        let whole = recoded(&[message], content_type, to);
        assert_eq!(whole, recoded(&crate::cut(message), content_type, to), "converted otherwise");
    }
    let head = head_of(&[message], content_type);
    let head_in_pieces = head_of(&crate::cut(message), content_type);
    match (&head, &head_in_pieces) {
        (Ok(head), Ok(in_pieces)) => assert_eq!(head, in_pieces, "cut otherwise"),
        (Err(_), Err(_)) => {}
        (head, pieces) => panic!("head: {head:?}\nin pieces: {pieces:?}"),
    }
    if let Ok((known, ..)) = whole {
        assert_eq!(head, Ok(Some(known)), "the head of a message that is good to its end");
    }
}

/// A first byte that no message begins with chooses what HTTP says of the message.
fn content_type(data: &[u8]) -> (Option<&'static str>, &[u8]) {
    match data {
        [1, rest @ ..] => (Some("text/xml; charset=utf-8"), rest),
        [2, rest @ ..] => (Some("text/xml; charset=utf-16"), rest),
        [3, rest @ ..] => (Some("text/xml; charset=iso-8859-1"), rest),
        [4, rest @ ..] => (Some("text/xml; charset=\"UTF-16LE\""), rest),
        _ => (None, data),
    }
}

fn read(
    pieces: &[&[u8]],
    content_type: Option<&str>,
) -> Result<(Head, Skeleton, Files), ReadError> {
    let mut reader = MessageReader::new(content_type)?;
    let mut files = Files::new();
    for piece in pieces {
        take(reader.push(piece)?, &mut files);
    }
    let (head, skeleton, parts) = reader.finish()?;
    take(parts, &mut files);
    assert_eq!(files.len(), skeleton.files.len(), "as many files as marks");
    for (index, mark) in skeleton.files.iter().enumerate() {
        assert_eq!(skeleton.text.get(mark.range.clone()), Some(index.to_string().as_str()));
    }
    assert!(skeleton.text.is_char_boundary(skeleton.root_end));
    Ok((head, skeleton, files))
}

fn take(parts: Vec<Part>, files: &mut Files) {
    for part in parts {
        match part {
            Part::FileBegin => files.push((Vec::new(), false)),
            Part::FileBytes(bytes) => files.last_mut().expect("begun").0.extend(bytes),
            Part::FileEnd { broken } => files.last_mut().expect("begun").1 = broken.is_some(),
        }
    }
}

fn recoded(
    pieces: &[&[u8]],
    content_type: Option<&str>,
    to: Encoding,
) -> Result<Vec<u8>, ReadError> {
    let (mut recoder, mut out) = (Recoder::new(content_type, to)?, Vec::new());
    for piece in pieces {
        recoder.push(piece, &mut out)?;
    }
    recoder.finish(&mut out)?;
    Ok(out)
}

fn head_of(pieces: &[&[u8]], content_type: Option<&str>) -> Result<Option<Head>, ReadError> {
    let mut reader = MessageReader::head_only(content_type)?;
    for piece in pieces {
        reader.push(piece)?;
        // As the forward path: what comes after the head is not the reader's.
        if reader.head().is_some() {
            break;
        }
    }
    Ok(reader.head().cloned())
}
