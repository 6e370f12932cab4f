//! The lexical pass over a message while it arrives: where the head ends, and the files taken out.
//!
//! It knows tags, quotes, comments, CDATA and instructions, and counts depth. Names, namespaces and
//! the rest of well-formedness are looked at when the skeleton is screened (`xml`).

use std::ops::Range;

use super::ReadError;
use crate::limits;

mod file;

use file::OpenFile;

/// What comes out of a message while it arrives: its files, one after the other, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A file begins; the first of a message has index 0.
    FileBegin,
    /// The file's next decoded bytes, about 64 KB.
    FileBytes(Vec<u8>),
    /// The file has ended.
    FileEnd {
        /// The content was not base64; bytes up to the fault have been given out.
        broken: Option<Broken>,
    },
}

/// Why the content of a file could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A character outside the alphabet, wrong padding or wrong length.
    #[error("innehållet är inte base64")]
    NotBase64,
    /// A reference that stands for no base64 character.
    #[error("innehållet har en referens som inte är base64")]
    Reference,
}

/// A message without its files: where a file was stands its index, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skeleton {
    /// UTF-8, as it came, without byte order mark.
    pub text: String,
    /// By index.
    pub files: Vec<FileMark>,
    /// Where the root element ends in `text`.
    pub root_end: usize,
}

/// The place of a file in a skeleton.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMark {
    /// Where the index stands in the skeleton's text.
    pub range: Range<usize>,
}

/// A push parser over UTF-8 text that may be cut anywhere between two characters.
#[derive(Debug)]
pub struct Scanner {
    text: Vec<u8>,
    state: State,
    /// The qualified name of the tag being read.
    name: Vec<u8>,
    /// For each open element, whether its local name is `attachment`.
    open: Vec<bool>,
    in_body: bool,
    head_end: Option<usize>,
    root_end: Option<usize>,
    files: Vec<FileMark>,
    file: Option<OpenFile>,
    head_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between markup.
    Text,
    /// In a reference in the content of a file, after `&`.
    Reference,
    /// After `<`.
    Open,
    /// After `<!` and so many bytes of `--` or `[CDATA[`.
    Bang(&'static [u8], usize),
    /// In a comment, after so many dashes.
    Comment(u8),
    /// In CDATA, after so many closing brackets.
    CData(u8),
    /// In a processing instruction; the last byte was `?`.
    Instruction(bool),
    /// In the name of a start tag.
    Name,
    /// After the name of a start tag: the open quote, and whether the last byte was `/`.
    Attributes(Option<u8>, bool),
    /// In an end tag.
    EndTag,
}

const COMMENT: &[u8] = b"--";
const CDATA: &[u8] = b"[CDATA[";

/// The depth of the first element in Body.
const BODY_CHILD_DEPTH: usize = 3;

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// Scans a whole message.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            text: Vec::new(),
            state: State::Text,
            name: Vec::new(),
            open: Vec::new(),
            in_body: false,
            head_end: None,
            root_end: None,
            files: Vec::new(),
            file: None,
            head_only: false,
        }
    }

    /// Scans up to the first element of the body and no further.
    #[must_use]
    pub const fn head_only() -> Self {
        let mut scanner = Self::new();
        scanner.head_only = true;
        scanner
    }

    /// The text up to and with the start tag of the first element in Body, once it has come.
    #[must_use]
    pub fn head(&self) -> Option<&str> {
        self.head_end
            .and_then(|end| self.text.get(..end))
            .and_then(|head| std::str::from_utf8(head).ok())
    }

    /// Nothing more is needed: only the head was asked for, and it is here.
    #[must_use]
    pub const fn has_all_it_wants(&self) -> bool {
        self.head_only && self.head_end.is_some()
    }

    /// Takes the next text; files go to `parts`.
    pub fn push(&mut self, text: &str, parts: &mut Vec<Part>) -> Result<(), ReadError> {
        let mut rest = text.as_bytes();
        while !rest.is_empty() && !self.has_all_it_wants() {
            let used = self.step(rest, parts)?;
            rest = rest.get(used..).unwrap_or_default();
        }
        if self.head_end.unwrap_or(self.text.len()) > limits::HEAD_BYTES_MAX {
            return Err(ReadError::HeadSize);
        }
        Ok(())
    }

    /// The message has ended.
    pub fn finish(self) -> Result<Skeleton, ReadError> {
        let (State::Text, Some(root_end)) = (self.state, self.root_end) else {
            return Err(ReadError::Truncated);
        };
        let text = String::from_utf8(self.text).map_err(|_| ReadError::Bytes)?;
        Ok(Skeleton { text, files: self.files, root_end })
    }

    /// Gives how many bytes of `rest` were used; where it is none, the state has changed.
    fn step(&mut self, rest: &[u8], parts: &mut Vec<Part>) -> Result<usize, ReadError> {
        let first = rest.first().copied().unwrap_or_default();
        match self.state {
            State::Text => self.in_text(rest, parts),
            State::Reference if first == b'<' => {
                self.file.iter_mut().for_each(OpenFile::reference_cut);
                self.state = State::Text;
                Ok(0)
            }
            State::Reference => {
                if self.file.as_mut().is_some_and(|file| file.reference(first, parts)) {
                    self.state = State::Text;
                }
                Ok(1)
            }
            State::Open => self.after_open(first, parts),
            State::Bang(word, met) => self.after_bang(word, met, first),
            State::Comment(dashes) => self.in_comment(rest, dashes),
            State::CData(brackets) => self.in_cdata(rest, brackets, parts),
            State::Instruction(question) => {
                self.keep(&[first])?;
                self.state = match first {
                    b'>' if question => State::Text,
                    b => State::Instruction(b == b'?'),
                };
                Ok(1)
            }
            State::Name => self.in_name(rest, parts),
            State::Attributes(quote, slash) => self.in_attributes(rest, quote, slash, parts),
            State::EndTag => self.in_end_tag(rest),
        }
    }

    fn in_text(&mut self, rest: &[u8], parts: &mut Vec<Part>) -> Result<usize, ReadError> {
        if let Some(file) = &mut self.file {
            let end = memchr::memchr2(b'<', b'&', rest);
            let data = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            file.text(data, parts);
            self.state = match end.and_then(|end| rest.get(end)) {
                Some(b'<') => State::Open,
                Some(_) => State::Reference,
                None => State::Text,
            };
            return Ok(data.len() + usize::from(end.is_some()));
        }
        let end = memchr::memchr(b'<', rest);
        let data = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if self.open.is_empty() && !data.iter().all(|b| is_space(*b)) {
            return Err(ReadError::OutsideRoot);
        }
        self.keep(data)?;
        if end.is_some() {
            self.state = State::Open;
        }
        Ok(data.len() + usize::from(end.is_some()))
    }

    fn after_open(&mut self, first: u8, parts: &mut Vec<Part>) -> Result<usize, ReadError> {
        match first {
            b'!' => {
                self.keep(b"<!")?;
                self.state = State::Bang(b"", 0);
                Ok(1)
            }
            b'/' => {
                self.end_file(parts)?;
                self.keep(b"</")?;
                self.state = State::EndTag;
                Ok(1)
            }
            _ if self.file.is_some() => Err(ReadError::ElementInFile),
            b'?' => {
                self.keep(b"<?")?;
                self.state = State::Instruction(false);
                Ok(1)
            }
            _ if self.root_end.is_some() => Err(ReadError::OutsideRoot),
            _ => {
                self.keep(b"<")?;
                self.name.clear();
                self.state = State::Name;
                Ok(0)
            }
        }
    }

    fn after_bang(
        &mut self,
        word: &'static [u8],
        met: usize,
        byte: u8,
    ) -> Result<usize, ReadError> {
        let word = match (word, byte) {
            (b"", b'-') => COMMENT,
            (b"", b'[') if self.open.is_empty() => return Err(ReadError::OutsideRoot),
            (b"", b'[') => CDATA,
            (b"", b'D') => return Err(ReadError::Doctype),
            (known, _) => known,
        };
        if word.get(met) != Some(&byte) {
            return Err(ReadError::Markup("okänd deklaration efter <!"));
        }
        self.keep(&[byte])?;
        self.state = match (met + 1 == word.len(), word == COMMENT) {
            (false, _) => State::Bang(word, met + 1),
            (true, true) => State::Comment(0),
            (true, false) => State::CData(0),
        };
        Ok(1)
    }

    fn in_comment(&mut self, rest: &[u8], dashes: u8) -> Result<usize, ReadError> {
        let used = if dashes == 0 {
            memchr::memchr(b'-', rest).map_or(rest.len(), |at| at + 1)
        } else {
            1
        };
        let data = rest.get(..used).unwrap_or_default();
        if self.file.is_some() && data.iter().any(|b| *b < b' ' && !is_space(*b)) {
            return Err(ReadError::Markup("otillåtet tecken i en kommentar"));
        }
        self.keep(data)?;
        self.state = match (dashes, data.last()) {
            (0, Some(b'-')) => State::Comment(1),
            (1, Some(b'-')) => State::Comment(2),
            (2, Some(b'>')) => State::Text,
            (2, _) => return Err(ReadError::Markup("-- i en kommentar")),
            _ => State::Comment(0),
        };
        Ok(used)
    }

    fn in_cdata(
        &mut self,
        rest: &[u8],
        brackets: u8,
        parts: &mut Vec<Part>,
    ) -> Result<usize, ReadError> {
        let used = if brackets == 0 {
            memchr::memchr(b']', rest).map_or(rest.len(), |at| at + 1)
        } else {
            1
        };
        let data = rest.get(..used).unwrap_or_default();
        self.keep(data)?;
        let closing = data.last() == Some(&b']');
        self.state = match (brackets, data.last()) {
            (0, _) if closing => State::CData(1),
            (1 | 2, _) if closing => State::CData(2),
            (2, Some(b'>')) => State::Text,
            _ => State::CData(0),
        };
        if let Some(file) = &mut self.file {
            let content = data.get(..data.len() - usize::from(closing)).unwrap_or_default();
            if brackets == 0 {
                file.text(content, parts);
            } else if self.state == State::CData(0) || (brackets == 2 && closing) {
                file.text(b"]", parts);
            }
        }
        Ok(used)
    }

    fn in_name(&mut self, rest: &[u8], parts: &mut Vec<Part>) -> Result<usize, ReadError> {
        let end = rest.iter().position(|b| is_space(*b) || matches!(b, b'/' | b'>'));
        let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.name.extend_from_slice(name);
        if self.name.len() > limits::XML_NAME_BYTES_MAX {
            return Err(ReadError::Markup("ett elementnamn är för långt"));
        }
        self.keep(name)?;
        if end.is_some() {
            self.state = State::Attributes(None, false);
            let more = rest.get(name.len()..).unwrap_or_default();
            return Ok(name.len() + self.in_attributes(more, None, false, parts)?);
        }
        Ok(name.len())
    }

    fn in_attributes(
        &mut self,
        rest: &[u8],
        mut quote: Option<u8>,
        mut slash: bool,
        parts: &mut Vec<Part>,
    ) -> Result<usize, ReadError> {
        let mut used = 0;
        for byte in rest {
            used += 1;
            match (quote, byte) {
                (Some(open), b) if open == *b => quote = None,
                (Some(_), b'<') | (None, b'<') => {
                    return Err(ReadError::Markup("< i en tagg"));
                }
                (Some(_), _) => {}
                (None, b'>') => {
                    self.keep(rest.get(..used).unwrap_or_default())?;
                    self.state = State::Text;
                    self.start_element(slash, parts)?;
                    return Ok(used);
                }
                (None, b'"' | b'\'') => quote = Some(*byte),
                (None, _) => {}
            }
            slash = *byte == b'/';
        }
        self.keep(rest)?;
        self.state = State::Attributes(quote, slash);
        Ok(used)
    }

    fn start_element(&mut self, empty: bool, parts: &mut Vec<Part>) -> Result<(), ReadError> {
        let depth = self.open.len() + 1;
        if depth > limits::XML_DEPTH_MAX {
            return Err(ReadError::Depth);
        }
        let local = self.name.rsplit(|b| *b == b':').next().unwrap_or_default();
        if depth == BODY_CHILD_DEPTH - 1 {
            self.in_body = local == b"Body";
        }
        if self.in_body && depth == BODY_CHILD_DEPTH && self.head_end.is_none() {
            self.head_end = Some(self.text.len());
        }
        if empty {
            if self.open.is_empty() {
                self.root_end = Some(self.text.len());
            }
            return Ok(());
        }
        let is_file = self.in_body
            && depth >= BODY_CHILD_DEPTH + 2
            && local == b"value"
            && self.open.last() == Some(&true);
        self.open.push(local == b"attachment");
        if is_file {
            if self.files.len() >= limits::MESSAGE_FILES_MAX {
                return Err(ReadError::Files);
            }
            parts.push(Part::FileBegin);
            self.file = Some(OpenFile::default());
        }
        Ok(())
    }

    fn end_file(&mut self, parts: &mut Vec<Part>) -> Result<(), ReadError> {
        let Some(file) = self.file.take() else { return Ok(()) };
        file.finish(parts);
        let start = self.text.len();
        self.keep(self.files.len().to_string().as_bytes())?;
        self.files.push(FileMark { range: start..self.text.len() });
        Ok(())
    }

    fn in_end_tag(&mut self, rest: &[u8]) -> Result<usize, ReadError> {
        let end = memchr::memchr(b'>', rest);
        let used = end.map_or(rest.len(), |end| end + 1);
        self.keep(rest.get(..used).unwrap_or_default())?;
        if end.is_some() {
            self.state = State::Text;
            if self.open.pop().is_none() {
                return Err(ReadError::Markup("en sluttagg utan starttagg"));
            }
            if self.open.is_empty() {
                self.root_end = Some(self.text.len());
            }
        }
        Ok(used)
    }

    /// Keeps text in the skeleton; what stands in a file (comments, CDATA marks) is let go.
    fn keep(&mut self, data: &[u8]) -> Result<(), ReadError> {
        if self.file.is_some() {
            return Ok(());
        }
        if self.text.len() + data.len() > limits::SKELETON_BYTES_MAX {
            return Err(ReadError::SkeletonSize);
        }
        self.text.extend_from_slice(data);
        Ok(())
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
