//! Messages that mean harm: each is refused, soon, and without memory growing with it.

use std::time::{Duration, Instant};

use super::*;
use crate::limits;

/// Feeds pieces until one is refused; gives the refusal and how many bytes it took.
fn feed(start: &str, piece: &str) -> (ReadError, u64) {
    let began = Instant::now();
    let mut reader = MessageReader::new(None).unwrap();
    let mut bytes = start.len() as u64;
    let mut result = reader.push(start.as_bytes());
    while result.is_ok() {
        assert!(bytes <= limits::MESSAGE_BYTES_MAX + piece.len() as u64, "never refused");
        assert!(began.elapsed() < Duration::from_secs(60), "too slow");
        result = reader.push(piece.as_bytes());
        bytes += piece.len() as u64;
    }
    (result.unwrap_err(), bytes)
}

fn start_of_body(inside: &str) -> String {
    let whole = addressed("<cut/>");
    format!("{}{inside}", whole.split_once("<cut/>").unwrap().0)
}

#[test]
fn a_document_type_is_refused_at_its_first_letter() {
    for text in ["<!DOCTYPE", "<?xml version='1.0'?>\n<!D", "<!-- x --><!DOCTYPE a [<!ENTITY"] {
        let mut reader = MessageReader::new(None).unwrap();
        assert_eq!(reader.push(text.as_bytes()).unwrap_err(), ReadError::Doctype);
    }
    assert_eq!(refusal(&start_of_body("<a><!DOCTYPE b>")), ReadError::Doctype);
}

#[test]
fn what_never_ends_is_refused_at_its_bound() {
    let skeleton = limits::SKELETON_BYTES_MAX as u64;
    let head = limits::HEAD_BYTES_MAX as u64;
    let x = "x".repeat(8_192);
    let (space, quote) = (" ".repeat(8_192), format!(" a='{x}"));
    for (start, piece, error, at) in [
        (start_of_body("<a>"), &x, ReadError::SkeletonSize, skeleton),
        (start_of_body("<a><![CDATA["), &x, ReadError::SkeletonSize, skeleton),
        (start_of_body("<a><!--"), &x, ReadError::SkeletonSize, skeleton),
        (start_of_body("<a><?pi "), &x, ReadError::SkeletonSize, skeleton),
        (start_of_body(&format!("<a><b{quote}")), &x, ReadError::SkeletonSize, skeleton),
        (start_of_body("<a></b"), &x, ReadError::SkeletonSize, skeleton),
        (addressed("<a/>"), &space, ReadError::SkeletonSize, skeleton),
        (start_of_body(""), &space, ReadError::HeadSize, head),
        (start_of_body("<a x='"), &x, ReadError::HeadSize, head),
        ("<!--".to_owned(), &x, ReadError::HeadSize, head),
        (String::new(), &space, ReadError::HeadSize, head),
        ("<?xml ".to_owned(), &x, ReadError::HeadSize, head),
        ("<s:Envelope><s:Header>".to_owned(), &x, ReadError::HeadSize, head),
    ] {
        let (refused, bytes) = feed(&start, piece);
        assert_eq!(refused, error, "{start}");
        assert!(bytes <= at + start.len() as u64 + 2 * 8_192, "{start}: {bytes}");
    }
    let name = limits::XML_NAME_BYTES_MAX as u64;
    assert!(matches!(feed(&start_of_body("<a><"), "abc").0, ReadError::Markup(_)));
    assert!(feed(&start_of_body("<a><"), "abc").1 < 1_000 + name);
}

#[test]
fn a_head_has_the_same_bound_however_it_comes() {
    let with = |bytes: usize| {
        let head = start_of_body("<a>").len();
        addressed("<a/>").replace(" start ", &"x".repeat(bytes - head + " start ".len() - 1))
    };
    let max = limits::HEAD_BYTES_MAX;
    for size in [1_000, 1_000_000] {
        let read = |bytes| read_in(with(bytes).as_bytes().chunks(size), None).map(|_| ());
        assert_eq!(read(max), Ok(()), "{size}");
        assert_eq!(read(max + 2), Err(ReadError::HeadSize), "{size}");
    }
}

#[test]
fn a_file_that_never_ends_is_refused_at_the_messages_bound_and_not_gathered() {
    let start = start_of_body("<a><attachment><value>");
    let piece = "aGVq".repeat(256 * 1024);
    let mut reader = MessageReader::new(None).unwrap();
    reader.push(start.as_bytes()).unwrap();
    let mut decoded = 0;
    let error = loop {
        match reader.push(piece.as_bytes()) {
            Err(error) => break error,
            Ok(parts) => {
                for part in parts {
                    if let Part::FileBytes(bytes) = part {
                        decoded += bytes.len() as u64;
                    }
                }
            }
        }
    };
    assert_eq!(error, ReadError::Size);
    let given = limits::MESSAGE_BYTES_MAX / 4 * 3;
    assert!(decoded <= given && decoded > given - 2_000_000);
}

#[test]
fn depth_files_and_children_of_files_are_refused_at_once() {
    assert_eq!(feed(&start_of_body(""), "<a>").0, ReadError::Depth);
    assert!(feed(&start_of_body(""), "<a>").1 < 1_000);
    let file = "<attachment><value>aGVq</value></attachment>";
    let many = |count: usize| start_of_body(&format!("<a>{}</a>", file.repeat(count)));
    let push = |text: String| MessageReader::new(None).unwrap().push(text.as_bytes());
    assert!(push(many(limits::MESSAGE_FILES_MAX)).is_ok());
    assert_eq!(push(many(limits::MESSAGE_FILES_MAX + 1)).unwrap_err(), ReadError::Files);
    for inside in ["<b/>", "aGVq<b>", "<?pi?>"] {
        let text = start_of_body(&format!("<a><attachment><value>{inside}"));
        assert_eq!(push(text).unwrap_err(), ReadError::ElementInFile, "{inside}");
    }
}

#[test]
fn nothing_follows_the_root_but_white_space_and_comments() {
    let good = addressed("<a/>");
    for after in ["", "\n\r\t ", "<!-- x -->", "\n<!-- x -->\n"] {
        assert!(read(format!("{good}{after}").as_bytes()).is_ok(), "{after}");
    }
    for after in ["x", "<a/>", "</a>", "&#32;", "<![CDATA[ ]]>", "\0", "<!DOCTYPE a>"] {
        assert!(read(format!("{good}{after}").as_bytes()).is_err(), "{after}");
    }
    for before in ["x", "\0", "<![CDATA[ ]]>", "&#32;", "</a>"] {
        assert!(read(format!("{before}{good}").as_bytes()).is_err(), "{before}");
    }
}

#[test]
fn a_control_character_in_the_comment_of_a_file_does_not_hide() {
    let text = start_of_body("<a><attachment><value><!-- \u{1} --></value>");
    let mut reader = MessageReader::new(None).unwrap();
    assert!(matches!(reader.push(text.as_bytes()), Err(ReadError::Markup(_))));
}

/// The strict reader finds an index exactly where the scanner took a file out.
fn prop_same_files(
    document: &Document,
    count: usize,
) -> Result<(), proptest::test_runner::TestCaseError> {
    let mut indexes = Vec::new();
    let mut rest = vec![(document.root(), 1)];
    while let Some((node, depth)) = rest.pop() {
        let in_attachment = node.parent().is_some_and(|it| it.name() == "attachment");
        let is_file = node.name() == "value" && depth >= 5 && in_attachment;
        if is_file && !node.text().is_empty() {
            indexes.push(node.text().to_owned());
        }
        let mut children: Vec<_> = node.children().map(|it| (it, depth + 1)).collect();
        children.reverse();
        rest.extend(children);
    }
    let expected: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    proptest::prop_assert_eq!(indexes, expected);
    Ok(())
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(1_000))]

    #[test]
    fn no_bytes_make_the_reader_stumble(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80),
        size in 1_usize..9,
    ) {
        let whole = read(&bytes).map(|_| ());
        let cut = read_in(bytes.chunks(size), None).map(|_| ());
        proptest::prop_assert_eq!(whole.is_ok(), cut.is_ok());
    }

    #[test]
    fn markup_at_random_reads_the_same_however_it_is_cut(
        inside in "(<a>|</a>|<attachment>|</attachment>|<attachment><value>|</value></attachment>|<attachment><value>aGVq</value></attachment>|<value>|</value>|<value/>|<value / >|<value b='/'>|<attachment b='>'>|aGVq|=|&#65;|<!--|-->|<!\\[CDATA\\[|\\]\\]>|\\]|-|<|>|/|'|\"| |å){0,14}",
        size in 1_usize..9,
    ) {
        let text = addressed(&format!("<a><b>{inside}</b></a>"));
        let whole = read(text.as_bytes());
        let cut = read_in(text.as_bytes().chunks(size), None);
        match (whole, cut) {
            (Ok((head, skeleton, files)), Ok(cut)) => {
                if let Ok(document) = Document::parse(&skeleton.text) {
                    prop_same_files(&document, files.len())?;
                }
                let given: Vec<_> = files.iter().map(|it| it.1).collect();
                let again: Vec<_> = cut.2.iter().map(|it| it.1).collect();
                proptest::prop_assert_eq!(given, again);
                proptest::prop_assert_eq!((head, skeleton), (cut.0, cut.1));
            }
            (whole, cut) => proptest::prop_assert_eq!(whole.is_ok(), cut.is_ok()),
        }
    }
}
