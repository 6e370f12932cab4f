//! Messages as they arrive: in pieces, in other encodings, and from those who mean harm.

#![expect(clippy::string_slice, reason = "texts of the test's own, cut at known places")]

use super::*;
use crate::id::HsaId;

mod hostile;

const BODY: &str = "<m:Tell xmlns:m=\"urn:riv:a:TellResponder:1\"><m:x>å&amp;<![CDATA[<]]></m:x>\
<m:case><m:attachment a='>'><m:id>1</m:id><m:value> aGVq\r\naGVq<!-- no -->&#97;<![CDATA[GVq]]>\n\
</m:value></m:attachment><m:attachment><m:value/><m:value></m:value></m:attachment></m:case></m:Tell>";

fn envelope(header: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- start -->\n<s:Envelope xmlns:s=\"{SOAP_11}\" \
         xmlns:r=\"urn:riv:itintegration:registry:1\"><s:Header>{header}</s:Header>\
         <s:Body>{body}</s:Body></s:Envelope>\n"
    )
}

fn addressed(body: &str) -> String {
    envelope("<r:LogicalAddress>SE0000000000-VC1</r:LogicalAddress>", body)
}

/// Everything that comes out of a message: the files as bytes, each with its fault.
type Files = Vec<(Vec<u8>, Option<Broken>)>;

fn read_in(
    pieces: impl Iterator<Item = impl AsRef<[u8]>>,
    content_type: Option<&str>,
) -> Result<(Head, Skeleton, Files), ReadError> {
    let mut reader = MessageReader::new(content_type)?;
    let mut parts = Vec::new();
    for piece in pieces {
        parts.extend(reader.push(piece.as_ref())?);
    }
    let (head, skeleton, last) = reader.finish()?;
    parts.extend(last);
    let mut files: Files = Vec::new();
    let mut open = false;
    for part in parts {
        match part {
            Part::FileBegin => {
                assert!(!open);
                open = true;
                files.push((Vec::new(), None));
            }
            Part::FileBytes(bytes) => {
                assert!(open && bytes.len() <= 65_535);
                files.last_mut().unwrap().0.extend(bytes);
            }
            Part::FileEnd { broken } => {
                assert!(open);
                open = false;
                files.last_mut().unwrap().1 = broken;
            }
        }
    }
    assert!(!open);
    Ok((head, skeleton, files))
}

fn read(bytes: &[u8]) -> Result<(Head, Skeleton, Files), ReadError> {
    read_in(std::iter::once(bytes), None)
}

fn refusal(text: &str) -> ReadError {
    read(text.as_bytes()).map(|_| ()).unwrap_err()
}

fn head(header: &str) -> Result<Head, ReadError> {
    read(envelope(header, "<x/>").as_bytes()).map(|it| it.0)
}

#[test]
fn the_head_says_who_and_what() {
    let text = addressed(BODY);
    let (head, skeleton, _) = read(text.as_bytes()).unwrap();
    assert_eq!(head.address, "SE0000000000-VC1");
    assert_eq!(head.profile, Profile::Rivtabp21);
    assert_eq!(head.contract.as_str(), "urn:riv:a:TellResponder:1");
    assert_eq!(head.operation, "Tell");
    assert_eq!(head.soap_prefix, "s");
    assert!(skeleton.text[head.envelope.clone()].starts_with("<s:Envelope "));
    assert!(skeleton.text[head.envelope.clone()].ends_with("registry:1\">"));
    assert!(skeleton.text[head.header.clone()].ends_with("</s:Header>"));
    assert!(skeleton.text[head.body..].starts_with("<s:Body>"));
    assert!(skeleton.text[head.first.clone()].starts_with("<m:Tell "));
    assert!(skeleton.text[..skeleton.root_end].ends_with("</s:Envelope>"));
}

#[test]
fn files_are_taken_out_and_their_index_stays() {
    let (_, skeleton, files) = read(addressed(BODY).as_bytes()).unwrap();
    assert_eq!(files, [(b"hejhejhej".to_vec(), None), (Vec::new(), None)]);
    assert!(skeleton.text.contains("<m:value>0</m:value>"));
    assert!(skeleton.text.contains("<m:value/><m:value>1</m:value>"));
    assert!(skeleton.text.contains("<m:x>å&amp;<![CDATA[<]]></m:x>"));
    assert_eq!(&skeleton.text[skeleton.files[0].range.clone()], "0");
    assert_eq!(&skeleton.text[skeleton.files[1].range.clone()], "1");
}

#[test]
fn only_the_value_of_an_attachment_is_a_file() {
    for body in [
        "<a><value>aGVq</value></a>",
        "<a><b><value>aGVq</value></b></a>",
        "<attachment><value>aGVq</value></attachment>",
        "<a><attachment><b><value>aGVq</value></b></attachment></a>",
    ] {
        let (_, skeleton, files) = read(addressed(body).as_bytes()).unwrap();
        assert!(files.is_empty() && skeleton.text.contains(body), "{body}");
    }
    let body = "<a><b:attachment xmlns:b='x'><b:value>aGVq</b:value></b:attachment></a>";
    assert_eq!(read(addressed(body).as_bytes()).unwrap().2.len(), 1);
    let header = "<r:LogicalAddress>SE0000000000-VC1</r:LogicalAddress>\
                  <a><attachment><value>åäö</value></attachment></a>";
    assert!(read(envelope(header, "<a/>").as_bytes()).unwrap().2.is_empty());
}

#[test]
fn a_message_reads_the_same_however_it_is_cut() {
    let text = addressed(BODY);
    let whole = read(text.as_bytes()).unwrap();
    for cut in 0..=text.len() {
        let (a, b) = text.as_bytes().split_at(cut);
        assert_eq!(read_in([a, b].into_iter(), None).unwrap(), whole, "cut at {cut}");
    }
    for size in 1..9 {
        let cut = read_in(text.as_bytes().chunks(size), None).unwrap();
        assert_eq!(cut, whole, "pieces of {size}");
    }
}

#[test]
fn a_refused_message_is_refused_however_it_is_cut() {
    let faults = [
        addressed("<a>\u{1}</a>").replace('\u{1}', "<!DOCTYPE a>"),
        addressed("<a><attachment><value><b/></value></attachment></a>"),
        addressed("<a/>") + "<b/>",
        addressed("<a/>").replace("<!-- start -->", "<!-- a -- b -->"),
    ];
    for text in faults {
        let whole = refusal(&text);
        for cut in 0..=text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            let cut = read_in([a, b].into_iter(), None).map(|_| ()).unwrap_err();
            assert_eq!(cut, whole, "{text}");
        }
    }
}

#[test]
fn the_head_comes_as_soon_as_its_last_byte() {
    let text = addressed(BODY);
    let end = text.find("<m:x>").unwrap();
    for head_only in [false, true] {
        let mut reader = if head_only {
            MessageReader::head_only(None).unwrap()
        } else {
            MessageReader::new(None).unwrap()
        };
        reader.push(&text.as_bytes()[..end - 1]).unwrap();
        assert!(reader.head().is_none());
        reader.push(&text.as_bytes()[end - 1..end]).unwrap();
        assert_eq!(reader.head().unwrap().operation, "Tell");
        assert_eq!(reader.is_utf8(), Some(true));
        // What comes after is not looked at where only the head was asked for.
        assert_eq!(reader.push(b"<!DOCTYPE x>").is_ok(), head_only);
    }
}

#[test]
fn base64_is_read_strictly_and_white_space_is_free() {
    let decode = |content: &str| {
        let body = format!("<a><attachment><value>{content}</value></attachment></a>");
        read(addressed(&body).as_bytes()).unwrap().2.remove(0)
    };
    for (content, bytes) in [
        ("", ""),
        ("aA==", "h"),
        ("aGU=", "he"),
        ("aGVq", "hej"),
        (" a G\tV\r\nq ", "hej"),
        ("aGVqaA==", "hejh"),
        ("&#x61;&#71;Vq&#10;", "hej"),
        ("aA<!-- -->=<![CDATA[=]]>", "h"),
    ] {
        assert_eq!(decode(content), (bytes.as_bytes().to_vec(), None), "{content}");
    }
    for content in [
        "a",
        "aA",
        "aA=",
        "aGV",
        "aGU",
        "=",
        "aA==aGVq",
        "aA==a",
        "aGVq=",
        "aB==",
        "aGV!",
        "a-_=",
        "aGVq]",
        "]]",
        "<![CDATA[aGVq]]]>",
        "<![CDATA[aGVq]xaGVq]]>",
        "<![CDATA[aGVq]]xaGVq]]>",
        "<![CDATA[]aGVq]]>",
        "åäö",
    ] {
        assert_eq!(decode(content).1, Some(Broken::NotBase64), "{content}");
    }
    for content in ["&amp;", "&#229;", "&x;", "&#xD800;", "&", "&;", "&#;", "&#+65;", "& &#65;"] {
        assert!(decode(content).1.is_some(), "{content}");
    }
}

#[test]
fn a_large_file_comes_in_pieces_and_padding_ends_it_at_any_block() {
    use base64::Engine as _;
    for bytes in [65_534_usize, 65_535, 65_536, 200_001] {
        let content: Vec<u8> = (0..=250).cycle().take(bytes).collect();
        let text = base64::engine::general_purpose::STANDARD.encode(&content);
        let lines: Vec<&str> =
            text.as_bytes().chunks(76).map(|it| std::str::from_utf8(it).unwrap()).collect();
        let body = |text: &str| {
            addressed(&format!("<a><attachment><value>{text}</value></attachment></a>"))
        };
        for text in [body(&text), body(&lines.join("\r\n"))] {
            for size in [1_000, 65_536, 1_000_000] {
                let files = read_in(text.as_bytes().chunks(size), None).unwrap().2;
                assert!(files == [(content.clone(), None)], "{bytes} in {size}");
            }
        }
        let (_, _, files) = read(body(&format!("{text}aGVq")).as_bytes()).unwrap();
        assert_eq!(files[0].1.is_some(), bytes % 3 != 0, "{bytes}");
    }
}

#[test]
fn a_cut_off_message_is_refused_wherever_it_ends() {
    let text = addressed(BODY);
    let end = text.find("</s:Envelope>").unwrap() + "</s:Envelope>".len();
    for cut in 0..end {
        assert!(read(&text.as_bytes()[..cut]).is_err(), "{cut}");
    }
    assert!(read(&text.as_bytes()[..end]).is_ok());
}

#[test]
fn every_encoding_gives_the_same_text() {
    let text = addressed(BODY);
    let expected = read(text.as_bytes()).unwrap();
    let units = || text.encode_utf16();
    let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
    let marked = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let utf16 = Some("text/xml; charset=UTF-16");
    for (bytes, content_type) in [
        (text.as_bytes().to_vec(), Some("text/xml; charset=\"utf-8\"")),
        (text.as_bytes().to_vec(), utf16), // says UTF-16 and is not
        (marked(b"\xEF\xBB\xBF", text.as_bytes()), None),
        (little.clone(), utf16),
        (marked(b"\xFF\xFE", &little), None),
        (big.clone(), None),
        (marked(b"\xFE\xFF", &big), utf16),
        (latin, Some("text/xml;charset=ISO-8859-1")),
    ] {
        for size in [1, 3, 7, 100_000] {
            assert_eq!(read_in(bytes.chunks(size), content_type).unwrap(), expected);
        }
    }
}

#[test]
fn the_declaration_counts_where_the_content_type_says_nothing() {
    let text = addressed(BODY).replace("utf-8", "ISO-8859-1");
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert!(read(&latin).unwrap().1.text.contains('å'));
    assert_eq!(
        read_in(std::iter::once(&latin), Some("text/xml; charset=utf-8")).unwrap_err(),
        ReadError::Bytes
    );
    assert!(read(text.replace("ISO-8859-1", "UTF-16").as_bytes()).unwrap().1.text.contains('å'));
    assert_eq!(refusal(&text.replace("ISO-8859-1", "EBCDIC-CP-SE")), ReadError::Charset);
    assert_eq!(
        MessageReader::new(Some("text/xml; charset=utf-7")).unwrap_err(),
        ReadError::Charset
    );
    assert!(MessageReader::new(Some("text/xml; action=x")).is_ok());
}

#[test]
fn a_declaration_is_looked_for_in_the_first_bytes_however_they_come() {
    let late = format!("<?xml version='1.0'{} encoding='ISO-8859-1'?><a>", " ".repeat(300));
    let bytes = [late.as_bytes(), b"\xe5"].concat();
    for size in [1, 100, 1000] {
        let mut to_utf8 = encoding::ToUtf8::new(None).unwrap();
        let read = bytes.chunks(size).try_for_each(|it| to_utf8.push(it, &mut |_| Ok(())));
        let read = read.and_then(|()| to_utf8.finish(&mut |_| Ok(())));
        assert_eq!(read, Err(ReadError::Bytes), "{size}");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_refused() {
    let good = addressed("<a>x</a>");
    let at = good.find(">x<").unwrap() + 1;
    for bytes in [
        &b"\xC0\xAF"[..],
        b"\xE0\x80\xAF",
        b"\xED\xA0\x80",
        b"\xF5\x80\x80\x80",
        b"\xFF",
        b"\xC3",
        b"\x80",
    ] {
        let text = [&good.as_bytes()[..at], bytes, &good.as_bytes()[at + 1..]].concat();
        for size in [1, 2, 10_000] {
            assert_eq!(
                read_in(text.chunks(size), None).unwrap_err(),
                ReadError::Bytes,
                "{bytes:?}"
            );
        }
    }
}

#[test]
fn the_address_is_the_one_in_a_known_namespace() {
    let registry = "<LogicalAddress xmlns='urn:riv:itintegration:registry:1'>A</LogicalAddress>";
    let second = registry.replace(":1'", ":2'").replace(">A<", ">B<");
    let to = "<To xmlns='http://www.w3.org/2005/08/addressing'>C</To>";
    let of = |header: &str| head(header).map(|it| (it.address, it.profile));
    assert_eq!(of(registry), Ok(("A".to_owned(), Profile::Rivtabp21)));
    assert_eq!(of(&second), Ok(("B".to_owned(), Profile::Rivtabp21)));
    assert_eq!(of(to), Ok(("C".to_owned(), Profile::Rivtabp20)));
    assert_eq!(of(&format!("{to}{registry}")), Ok(("A".to_owned(), Profile::Rivtabp21)));
    assert_eq!(of(&format!("{registry}{to}")), Ok(("A".to_owned(), Profile::Rivtabp21)));
    assert_eq!(of(&format!("{registry}{second}")), Err(ReadError::Address));
    assert_eq!(of(&format!("{to}{to}")), Err(ReadError::Address));
    assert_eq!(of("<LogicalAddress>A</LogicalAddress>"), Err(ReadError::NoAddress));
    assert_eq!(of(&registry.replace(":1'", ":3'")), Err(ReadError::NoAddress));
    assert_eq!(of(&registry.replace(">A<", "> <")), Err(ReadError::NoAddress));
}

#[test]
fn the_address_is_its_text_with_comments_left_out() {
    let of = |text: &str| {
        head(&format!("<r:LogicalAddress>{text}</r:LogicalAddress>")).map(|it| it.address)
    };
    assert_eq!(of(" SE1 ").unwrap(), " SE1 ");
    assert_eq!(of("S<!-- x -->E1").unwrap(), "SE1");
    assert_eq!(of("<!-- x -->SE1").unwrap(), "SE1");
    assert_eq!(of("<![CDATA[SE]]>&#49;").unwrap(), "SE1");
    for blank in ["", " \n", "<!-- x -->"] {
        assert_eq!(of(blank), Err(ReadError::NoAddress), "{blank}");
    }
    assert_eq!(of("SE1<x/>"), Err(ReadError::Address));
}

#[test]
fn a_header_that_must_be_understood_is() {
    let address = "<r:LogicalAddress s:mustUnderstand='1'>A</r:LogicalAddress>";
    let with = |block: &str| head(&format!("{address}{block}")).unwrap().check_understood();
    assert_eq!(with("<x xmlns='urn:x'/>"), Ok(()));
    assert_eq!(with("<x xmlns='urn:x' s:mustUnderstand='0'/>"), Ok(()));
    assert_eq!(with("<x xmlns='urn:x' s:mustUnderstand='1' s:actor='urn:other'/>"), Ok(()));
    assert_eq!(
        with("<Action xmlns='http://www.w3.org/2005/08/addressing' s:mustUnderstand='1'/>"),
        Ok(())
    );
    let strange = ReadError::NotUnderstood("{urn:x}x".to_owned());
    assert_eq!(strange.fault_code(), FaultCode::MustUnderstand);
    let strange = Err(strange);
    assert_eq!(with("<x xmlns='urn:x' s:mustUnderstand='1'/>"), strange);
    assert_eq!(with("<x xmlns='urn:x' s:mustUnderstand='true' s:actor=''/>"), strange);
    let next = "http://schemas.xmlsoap.org/soap/actor/next";
    let next = format!("<x xmlns='urn:x' s:mustUnderstand='1' s:actor='{next}'/>");
    assert_eq!(with(&next), strange);
}

#[test]
fn what_is_no_soap_11_envelope_is_told_apart() {
    let good = addressed("<x/>");
    let soap12 = good.replace(SOAP_11, "http://www.w3.org/2003/05/soap-envelope");
    assert_eq!(refusal(&soap12), ReadError::Version);
    assert_eq!(refusal(&soap12).fault_code(), FaultCode::VersionMismatch);
    assert!(matches!(refusal(&good.replace("s:Envelope", "s:Letter")), ReadError::Envelope(_)));
    assert!(matches!(refusal("<html><p/></html>"), ReadError::Envelope(_)));
    assert!(matches!(refusal(&addressed("")), ReadError::Envelope(_)));
    assert!(matches!(refusal(&good.replace("s:Header", "s:Head")), ReadError::Envelope(_)));
    assert!(matches!(refusal(&good.replace("s:Body", "r:Body")), ReadError::Envelope(_)));
    assert_eq!(refusal(&envelope("", "<x/>")), ReadError::NoAddress);
    let bare = format!("<Envelope xmlns='{SOAP_11}'><Body><x/></Body></Envelope>");
    assert_eq!(refusal(&bare), ReadError::NoAddress);
    assert_eq!(refusal(&bare).vp(), Some(3));
}

#[test]
fn a_body_has_one_element_and_the_envelope_nothing_more() {
    let document = |text: &str| Document::parse(text).unwrap();
    assert!(body_element(&document(&addressed("<x/>"))).unwrap().is("", "x"));
    let good = addressed("<x/>");
    for text in [
        addressed("<x/><y/>"),
        addressed("<x/>y"),
        good.replace("</s:Body>", "</s:Body><s:Body><x/></s:Body>"),
        good.replace("</s:Body>", "</s:Body><x/>"),
        good.replace("<s:Header>", "<x/><s:Header>"),
        good.replace("<s:Body>", "<s:Header/><s:Body>"),
        good.replace("<s:Body>", "x<s:Body>"),
    ] {
        assert!(body_element(&document(&text)).is_err(), "{text}");
    }
}

#[test]
fn a_fault_is_written_as_the_platform_writes_it() {
    let fault = Fault {
        code: FaultCode::Client,
        string: "VP003 [test] Logisk adress saknas & <mer>".to_owned(),
        detail: Some("rad 1\nrad 2".to_owned()),
    };
    expect_test::expect![[r#"
        <SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"><SOAP-ENV:Header/><SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:Client</faultcode><faultstring>VP003 [test] Logisk adress saknas &amp; &lt;mer&gt;</faultstring><detail><detailString>rad 1
        rad 2</detailString></detail></SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>"#]]
    .assert_eq(&fault.write());
    let seen = read_fault(fault.write().as_bytes()).unwrap();
    assert_eq!(seen.code, Some(FaultCode::Client));
    assert_eq!(seen.string, fault.string);
    assert_eq!(seen.detail, fault.detail);
    assert_eq!(seen.vp, Some(3));
}

#[test]
fn the_faults_of_others_are_read_in_any_form() {
    let fault = |inside: &str| {
        format!("<Envelope xmlns='{SOAP_11}'><Body><Fault>{inside}</Fault></Body></Envelope>")
    };
    let text = fault(
        "<faultcode xmlns=''>x:Server.Busy</faultcode><faultstring>upptaget</faultstring>\
                      <detail><a>1</a><b><c>2</c></b></detail>",
    );
    let seen = read_fault(text.as_bytes()).unwrap();
    assert_eq!((seen.code, seen.vp), (Some(FaultCode::Server), None));
    assert_eq!((seen.string.as_str(), seen.detail.as_deref()), ("upptaget", Some("12")));
    let seen = read_fault(fault("<faultcode>odd</faultcode>").as_bytes()).unwrap();
    assert_eq!((seen.code, seen.string.as_str(), seen.detail), (None, "", None));
    let long = fault(&format!("<faultstring>{}</faultstring>", "å".repeat(10_000)));
    let seen = read_fault(long.as_bytes()).unwrap();
    assert_eq!(seen.string.chars().count(), limits::FAULT_CHARS_MAX);
    assert_eq!(read_fault(addressed("<x/>").as_bytes()), None);
    assert_eq!(read_fault(b"<html>503</html>"), None);
    assert_eq!(read_fault(b""), None);
    for (string, vp) in [("VP012 x", Some(12)), ("VP1", None), ("VP+12", None), ("xVP012", None)] {
        let text = fault(&format!("<faultstring>{string}</faultstring>"));
        assert_eq!(read_fault(text.as_bytes()).unwrap().vp, vp, "{string}");
    }
}

#[test]
fn relaying_keeps_the_body_and_changes_only_the_header() {
    let (head, skeleton, _) = read(addressed(BODY).as_bytes()).unwrap();
    assert_eq!(Original::of(skeleton.clone(), &head, &[]), None);
    let files = [("aa".to_owned(), 9), ("bb".to_owned(), 0)];
    let original = Original::of(skeleton, &head, &files).unwrap();
    let kept: Original = serde_json::from_str(&serde_json::to_string(&original).unwrap()).unwrap();
    assert_eq!(kept, original);
    let outline = kept.relay(&HsaId::parse("SE0000000000-KLAGOMAL").unwrap());
    let sent: String = outline
        .parts
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::File { sha256, bytes: 9 } if sha256 == "aa" => "aGVqaGVqaGVq".to_owned(),
            Piece::File { sha256, bytes: 0 } if sha256 == "bb" => String::new(),
            Piece::File { .. } => panic!("an unknown file"),
        })
        .collect();
    assert_eq!(outline.content_length(), sent.len() as u64);
    let value = BODY.find(" aGVq").unwrap()..BODY.find("</m:value>").unwrap();
    let body = format!("{}aGVqaGVqaGVq{}", &BODY[..value.start], &BODY[value.end..]);
    assert!(sent.ends_with(&format!("<s:Body>{body}</s:Body></s:Envelope>")));
    let (head, _, files) = read(sent.as_bytes()).unwrap();
    assert_eq!(head.address, "SE0000000000-KLAGOMAL");
    assert_eq!(files[0].0, b"hejhejhej");
}

#[test]
fn relaying_turns_a_message_of_profile_20_into_21_and_knows_a_default_namespace() {
    let text = format!(
        "<Envelope xmlns='{SOAP_11}' xmlns:q='urn:q'><Header>\
         <To xmlns='http://www.w3.org/2005/08/addressing'>A</To></Header>\
         <Body><q:x/></Body><!-- end --></Envelope><!-- after -->"
    );
    let (head, skeleton, _) = read(text.as_bytes()).unwrap();
    assert_eq!(head.profile, Profile::Rivtabp20);
    let original = Original::of(skeleton, &head, &[]).unwrap();
    let outline = original.relay(&HsaId::parse("SE1&2").unwrap());
    let [Piece::Text(sent)] = outline.parts.as_slice() else { panic!("no files") };
    assert!(sent.ends_with("<Body><q:x/></Body><!-- end --></Envelope>"));
    let (head, _, _) = read(sent.as_bytes()).unwrap();
    assert_eq!((head.address.as_str(), head.profile), ("SE1&2", Profile::Rivtabp21));
    assert_eq!(head.contract.as_str(), "urn:q");
}

#[test]
fn base64_length_is_exact() {
    for (bytes, length) in [(0, 0), (1, 4), (2, 4), (3, 4), (4, 8), (20 * 1024 * 1024, 27_962_028)]
    {
        assert_eq!(outline::base64_length(bytes), length);
    }
}
