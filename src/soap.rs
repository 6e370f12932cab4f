//! SOAP 1.1 as RIV TA uses it: reading a message while it arrives, its head, faults, sending on.

pub mod encoding;
pub mod envelope;
pub mod fault;
pub mod outline;
pub mod recode;
pub mod scan;
pub mod translate;

pub use encoding::Encoding;
pub use envelope::{Head, Profile};
pub use fault::{Fault, FaultCode, FaultSeen, read_fault};
pub use outline::{Mark, Original, Outline, Piece};
pub use recode::Recoder;
pub use scan::{Broken, FileMark, Part, Skeleton};
pub use translate::Translator;

use crate::limits;
use crate::xml::{self, Document, Node};

/// The namespace of a SOAP 1.1 envelope.
pub const SOAP_11: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// Where `LogicalAddress` stands (RIV TA Basic Profile 2.1).
pub const REGISTRY_1: &str = "urn:riv:itintegration:registry:1";

/// Why a message cannot be read. Nothing of the message's content is repeated in the texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The Content-Type or the XML declaration names a character set that is not read here.
    #[error("teckenkodningen stöds inte; UTF-8, UTF-16, ISO-8859-1 och windows-1252 läses")]
    Charset,
    /// Bytes that do not belong to the message's character set.
    #[error("meddelandet följer inte sin teckenkodning")]
    Bytes,
    /// A document type declaration.
    #[error("DOCTYPE är inte tillåtet i ett SOAP-meddelande")]
    Doctype,
    /// More nested elements than [`limits::XML_DEPTH_MAX`].
    #[error("elementen är nästlade djupare än {} nivåer", limits::XML_DEPTH_MAX)]
    Depth,
    /// More bytes than [`limits::MESSAGE_BYTES_MAX`].
    #[error("meddelandet är större än {} byte", limits::MESSAGE_BYTES_MAX)]
    Size,
    /// More beside the files than [`limits::SKELETON_BYTES_MAX`].
    #[error("meddelandet utan bilagor är större än {} byte", limits::SKELETON_BYTES_MAX)]
    SkeletonSize,
    /// No first element of the body within [`limits::HEAD_BYTES_MAX`].
    #[error("huvudet är större än {} byte", limits::HEAD_BYTES_MAX)]
    HeadSize,
    /// More files than [`limits::MESSAGE_FILES_MAX`].
    #[error("meddelandet har fler än {} filer", limits::MESSAGE_FILES_MAX)]
    Files,
    /// An element where only the content of a file may stand.
    #[error("elementet value innehåller annat än base64-text")]
    ElementInFile,
    /// Something other than white space and comments before or after the one root element.
    #[error("text eller element utanför rotelementet")]
    OutsideRoot,
    /// The message ended too early.
    #[error("meddelandet är avklippt")]
    Truncated,
    /// Not well-formed XML.
    #[error("meddelandet är inte välformad XML")]
    IllFormed(#[source] xml::XmlError),
    /// Markup that no XML has.
    #[error("meddelandet är inte välformad XML: {0}")]
    Markup(&'static str),
    /// The root element is not a SOAP envelope, or its parts are not as SOAP says.
    #[error("meddelandet är inte ett SOAP-kuvert: {0}")]
    Envelope(&'static str),
    /// An envelope of another SOAP version.
    #[error("kuvertet är inte SOAP 1.1 (http://schemas.xmlsoap.org/soap/envelope/)")]
    Version,
    /// No logical address in the header, or an empty one.
    #[error("logisk adress saknas i huvudet")]
    NoAddress,
    /// More than one logical address, or one that is not plain text.
    #[error("huvudet har inte exakt en logisk adress i ren text")]
    Address,
    /// A header block that demands to be understood and is not.
    #[error("ett huvudblock med mustUnderstand förstås inte: {0}")]
    NotUnderstood(String),
}

impl ReadError {
    /// The platform's number `VPnnn` for this fault, where it has one: 3 or 15.
    #[must_use]
    pub const fn vp(&self) -> Option<u8> {
        match self {
            Self::NoAddress => Some(3),
            Self::Version | Self::NotUnderstood(_) => None,
            Self::Charset
            | Self::Bytes
            | Self::Doctype
            | Self::Depth
            | Self::Size
            | Self::SkeletonSize
            | Self::HeadSize
            | Self::Files
            | Self::ElementInFile
            | Self::OutsideRoot
            | Self::Truncated
            | Self::IllFormed(_)
            | Self::Markup(_)
            | Self::Envelope(_)
            | Self::Address => Some(15),
        }
    }

    /// The whole of it, cause and all, for the detail of a fault.
    #[must_use]
    pub fn detail(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    /// The `faultcode` that answers it.
    #[must_use]
    pub const fn fault_code(&self) -> FaultCode {
        match self {
            Self::Version => FaultCode::VersionMismatch,
            Self::NotUnderstood(_) => FaultCode::MustUnderstand,
            Self::NoAddress
            | Self::Charset
            | Self::Bytes
            | Self::Doctype
            | Self::Depth
            | Self::Size
            | Self::SkeletonSize
            | Self::HeadSize
            | Self::Files
            | Self::ElementInFile
            | Self::OutsideRoot
            | Self::Truncated
            | Self::IllFormed(_)
            | Self::Markup(_)
            | Self::Envelope(_)
            | Self::Address => FaultCode::Client,
        }
    }
}

impl From<xml::XmlError> for ReadError {
    fn from(error: xml::XmlError) -> Self {
        if error == xml::XmlError::Doctype {
            Self::Doctype
        } else if error == xml::XmlError::Depth {
            Self::Depth
        } else {
            Self::IllFormed(error)
        }
    }
}

/// Reads one message while its bytes arrive, in pieces of any size: converts to UTF-8, finds the
/// head as early as it can be found, takes the files out and keeps the rest as a [`Skeleton`].
///
/// Memory: at most [`limits::SKELETON_BYTES_MAX`] and two blocks of a file, whatever the message.
#[derive(Debug)]
pub struct MessageReader {
    to_utf8: encoding::ToUtf8,
    scanner: scan::Scanner,
    bytes: u64,
    head: Option<Head>,
}

impl MessageReader {
    /// Reads a whole message. `content_type` is the HTTP header's value.
    pub fn new(content_type: Option<&str>) -> Result<Self, ReadError> {
        Self::with(content_type, scan::Scanner::new())
    }

    /// Reads only up to the first element of the body: for messages that are sent on untouched.
    /// What comes after the head is neither looked at nor kept.
    pub fn head_only(content_type: Option<&str>) -> Result<Self, ReadError> {
        Self::with(content_type, scan::Scanner::head_only())
    }

    fn with(content_type: Option<&str>, scanner: scan::Scanner) -> Result<Self, ReadError> {
        let to_utf8 = encoding::ToUtf8::new(content_type)?;
        Ok(Self { to_utf8, scanner, bytes: 0, head: None })
    }

    /// The same message as one whose head has been read already.
    #[must_use]
    pub fn knowing(self, head: Head) -> Self {
        Self { head: Some(head), ..self }
    }

    /// Takes the next bytes; gives what they hold of files. An error is final: it is known as soon
    /// as the byte that shows it has come.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<Part>, ReadError> {
        self.bytes = self.bytes.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if self.bytes > limits::MESSAGE_BYTES_MAX {
            return Err(ReadError::Size);
        }
        let mut parts = Vec::new();
        if !self.scanner.has_all_it_wants() {
            let scanner = &mut self.scanner;
            let read = self.to_utf8.push(chunk, &mut |text| scanner.push(text, &mut parts));
            // What comes after the head, in the same piece even, may be anything.
            if !self.scanner.has_all_it_wants() {
                read?;
            }
        }
        self.look_for_head()?;
        Ok(parts)
    }

    /// The head, once it has come. Ask after each [`Self::push`], before the files it gave are kept.
    #[must_use]
    pub const fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The bytes are UTF-8 as they came, so that they can be sent on as they are. `None` until known.
    /// Where they are not, send on what [`encoding::ToUtf8`] makes of them, from the envelope's start
    /// tag ([`Head::envelope`]): what stands before is a declaration that would no longer be true.
    #[must_use]
    pub fn is_utf8(&self) -> Option<bool> {
        self.to_utf8.is_utf8()
    }

    /// What the message came in; `None` until it is known.
    #[must_use]
    pub fn encoding(&self) -> Option<Encoding> {
        self.to_utf8.encoding()
    }

    /// The message has ended: its head and its skeleton, screened or not yet: that is
    /// [`Document::parse`]. Fails if the message is cut off.
    pub fn finish(mut self) -> Result<(Head, Skeleton, Vec<Part>), ReadError> {
        let mut parts = Vec::new();
        let scanner = &mut self.scanner;
        self.to_utf8.finish(&mut |text| scanner.push(text, &mut parts))?;
        self.look_for_head()?;
        let skeleton = self.scanner.finish()?;
        let head = self.head.ok_or(ReadError::Envelope("kroppen (Body) är tom eller saknas"))?;
        Ok((head, skeleton, parts))
    }

    fn look_for_head(&mut self) -> Result<(), ReadError> {
        if self.head.is_none()
            && let Some(prefix) = self.scanner.head()
        {
            self.head = Some(envelope::read_head(prefix)?);
        }
        Ok(())
    }
}

/// A small message, such as an answer, as UTF-8 text; at most `bytes_max` bytes.
pub fn text_of(
    bytes: &[u8],
    content_type: Option<&str>,
    bytes_max: usize,
) -> Result<String, ReadError> {
    if bytes.len() > bytes_max {
        return Err(ReadError::Size);
    }
    let mut text = String::with_capacity(bytes.len());
    let mut keep = |piece: &str| {
        text.push_str(piece);
        Ok(())
    };
    let mut to_utf8 = encoding::ToUtf8::new(content_type)?;
    to_utf8.push(bytes, &mut keep)?;
    to_utf8.finish(&mut keep)?;
    Ok(text)
}

/// The one element in the body of a SOAP 1.1 envelope, all of the envelope's form checked.
pub fn body_element(document: &Document) -> Result<Node<'_>, ReadError> {
    let root = document.root();
    envelope::check_envelope(root)?;
    let mut parts = root.children();
    let mut part = parts.next();
    if part.is_some_and(|it| it.is(SOAP_11, "Header")) {
        part = parts.next();
    }
    let body = part
        .filter(|it| it.is(SOAP_11, "Body"))
        .ok_or(ReadError::Envelope("kroppen (Body) saknas eller står på fel plats"))?;
    if parts.next().is_some() {
        return Err(ReadError::Envelope("element efter kroppen (Body)"));
    }
    if root.has_text() || body.has_text() {
        return Err(ReadError::Envelope("text mellan kuvertets element"));
    }
    let mut inside = body.children();
    let only = inside.next().ok_or(ReadError::Envelope("kroppen (Body) är tom"))?;
    if inside.next().is_some() {
        return Err(ReadError::Envelope("kroppen (Body) har mer än ett element"));
    }
    Ok(only)
}

#[cfg(test)]
mod tests;
