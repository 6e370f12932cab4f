//! Files that staff attach: on disk before the form is answered, and known again by a seal in it.
//!
//! What is not sent in the end is named by no record, and goes with the sweep of the attachments.

use axum::body::Body;
use hyper::body::Bytes;
use maud::{Markup, html};
use multer::{Constraints, Multipart, SizeLimit};

use super::Desk;
use super::form::Form;
use super::gate::Visit;
use super::page::{Fault, Trouble};
use super::session::Session;
use crate::complaint::message::{Attachment, MediaType};
use crate::limits;
use crate::store::blobs::{BlobError, BlobWriter, Blobs, Stored};

/// The field in which files are chosen.
pub(super) const CHOSEN: &str = "fil";

/// The field that holds the seals of files that are on disk.
const KEPT: &str = "bilaga";

/// What a chooser of files offers; what a file really is, its first bytes tell.
const OFFERED: &str = ".pdf,.jpg,.jpeg,.png,.gif";

/// Bytes of a file gathered before they are handed to a blocking thread.
const GATHER_BYTES: usize = 256 * 1024;

/// A form that was sent with files.
pub(super) struct Sent {
    pub(super) form: Form,
    /// What is wrong with the files, which are then not kept.
    pub(super) faults: Vec<Fault>,
}

/// Reads a form with files, posted to `path`. Nothing comes to disk before the form's token has been
/// seen to be of the session.
pub(super) async fn read(
    content_type: &str,
    body: Body,
    blobs: &Blobs,
    (session, path): (&Session, &str),
) -> Result<Sent, Trouble> {
    let boundary = multer::parse_boundary(content_type).map_err(|_| Trouble::Kind)?;
    let bound = SizeLimit::new().whole_stream(limits::STAFF_UPLOAD_BYTES_MAX);
    let bound = Constraints::new().size_limit(bound);
    let mut parts = Multipart::with_constraints(body.into_data_stream(), boundary, bound);
    let mut taking = Taking { form: Form::default(), room: limits::STAFF_FORM_BYTES_MAX };
    let (mut kept, mut faults) = (Vec::new(), Vec::new());
    while let Some(mut part) = parts.next_field().await.map_err(|it| broken(&it))? {
        let name = part.name().unwrap_or_default().to_owned();
        let Some(file) = part.file_name().map(plain_name) else {
            taking.text(name, &mut part).await?;
            continue;
        };
        // Browsers send an empty file without a name where none was chosen.
        if name != CHOSEN || file.is_empty() {
            continue;
        }
        if !session.is_token(path, taking.form.one("intyg")) {
            return Err(Trouble::Ended);
        }
        if kept.len() + faults.len() >= limits::HANDLER_ATTACHMENTS_MAX {
            faults.push(too_many(limits::HANDLER_ATTACHMENTS_MAX));
            break;
        }
        match take(blobs, &file, &mut part).await? {
            Ok((stored, media_type)) => kept.push(Kept { stored, media_type, name: file }),
            Err(text) => faults.push(Fault { field: CHOSEN, text }),
        }
    }
    // A browser shows no answer before it has sent everything.
    while parts.next_field().await.map_err(|it| broken(&it))?.is_some() {}
    let mut form = taking.form;
    for file in kept {
        form.set(KEPT, file.sealed(session, path));
    }
    Ok(Sent { form, faults })
}

struct Taking {
    form: Form,
    /// Bytes that texts may still have.
    room: usize,
}

impl Taking {
    async fn text(&mut self, name: String, part: &mut multer::Field<'_>) -> Result<(), Trouble> {
        let mut value = Vec::new();
        let costs = name.len().saturating_add(limits::FORM_FIELD_BYTES);
        self.room = self.room.checked_sub(costs).ok_or(Trouble::TooLarge)?;
        while let Some(piece) = part.chunk().await.map_err(|it| broken(&it))? {
            self.room = self.room.checked_sub(piece.len()).ok_or(Trouble::TooLarge)?;
            value.extend_from_slice(&piece);
        }
        let value = String::from_utf8(value).map_err(|_| Trouble::Kind)?;
        self.form.set(&name, value.replace("\r\n", "\n"));
        Ok(())
    }
}

fn broken(error: &multer::Error) -> Trouble {
    if matches!(error, multer::Error::StreamSizeExceeded { .. }) {
        Trouble::TooLarge
    } else {
        Trouble::Kind
    }
}

/// Brings one file to disk; or what is wrong with it, and nothing of it is kept then.
async fn take(
    blobs: &Blobs,
    name: &str,
    part: &mut multer::Field<'_>,
) -> Result<Result<(Stored, MediaType), String>, Trouble> {
    let blobs = blobs.clone();
    let mut writer = blocking(move || blobs.begin(limits::ATTACHMENT_BYTES_MAX)).await?;
    let (mut gathered, mut bytes) = (Vec::new(), 0);
    while let Some(piece) = part.chunk().await.map_err(|it| broken(&it))? {
        bytes += piece.len();
        gathered.push(piece);
        if bytes >= GATHER_BYTES {
            bytes = 0;
            writer = write(writer, std::mem::take(&mut gathered)).await?;
        }
    }
    let writer = write(writer, gathered).await?;
    match fitting(name, &writer) {
        Ok(kind) => blocking(move || writer.finish()).await.map(|stored| Ok((stored, kind))),
        Err(text) => Ok(Err(text)),
    }
}

async fn write(mut writer: BlobWriter, pieces: Vec<Bytes>) -> Result<BlobWriter, Trouble> {
    blocking(move || pieces.iter().try_for_each(|it| writer.write(it)).map(|()| writer)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, Trouble> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Trouble::store(&error)),
        Err(_) => Err(Trouble::Internal),
    }
}

/// The last part of what a browser calls a file, without what cannot stand in a line.
fn plain_name(told: &str) -> String {
    let last = told.rsplit(['/', '\\']).next().unwrap_or_default();
    let fit = |c: &char| !c.is_control() && !matches!(c, '\u{FFFE}' | '\u{FFFF}');
    let name: String = last.chars().filter(fit).collect();
    let name = name.trim();
    // What it ends with tells its kind: a long name is cut at its beginning.
    let surplus = name.chars().count().saturating_sub(FILE_NAME_CHARS_MAX);
    name.chars().skip(surplus).collect()
}

/// A file's name as it is shown; file systems take 255 bytes, and the contract 500 characters.
const FILE_NAME_CHARS_MAX: usize = 120;

/// The kind of a file, where it may be sent and is called what it is; else what is wrong.
fn fitting(name: &str, file: &BlobWriter) -> Result<MediaType, String> {
    if file.is_over() {
        let most = limits::ATTACHMENT_BYTES_MAX / (1024 * 1024);
        return Err(format!("Filen {name} är större än {most} MB."));
    }
    if file.bytes() == 0 {
        return Err(format!("Filen {name} är tom."));
    }
    let Some(kind) = MediaType::of_magic(file.first()) else {
        return Err(format!(
            "Filen {name} är ingen PDF, JPEG, PNG eller GIF, vad den än heter. Spara den som PDF."
        ));
    };
    let (is_a, endings): (_, &[&str]) = match kind {
        MediaType::Pdf => ("en PDF", &["pdf"]),
        MediaType::Gif => ("en GIF-bild", &["gif"]),
        MediaType::Jpeg => ("en JPEG-bild", &["jpg", "jpeg"]),
        MediaType::Png => ("en PNG-bild", &["png"]),
    };
    let ending = name.rsplit_once('.').map(|(_, it)| it.to_ascii_lowercase());
    if ending.is_some_and(|it| endings.contains(&it.as_str())) {
        return Ok(kind);
    }
    let wanted = endings.first().copied().unwrap_or_default();
    Err(format!("Filen {name} är {is_a}, men heter inte så. Den ska sluta på .{wanted}."))
}

fn too_many(most: usize) -> Fault {
    Fault { field: CHOSEN, text: format!("Högst {most} filer får bifogas.") }
}

/// A file on disk, between two sendings of its form.
struct Kept {
    stored: Stored,
    media_type: MediaType,
    name: String,
}

impl Kept {
    /// With a seal that only this session can make, for this form: who knows the hash of somebody
    /// else's file cannot attach it.
    fn sealed(&self, session: &Session, path: &str) -> String {
        let Stored { sha256, bytes, .. } = &self.stored;
        let told = format!("{sha256} {bytes} {} {}", self.media_type.as_str(), self.name);
        format!("{} {told}", session.token(&sealed_text(path, &told)))
    }

    fn open(sealed: &str, session: &Session, path: &str) -> Option<Self> {
        let (seal, told) = sealed.split_once(' ')?;
        if !session.is_token(&sealed_text(path, told), seal) {
            return None;
        }
        let mut parts = told.splitn(4, ' ');
        let sha256 = parts.next()?.to_owned();
        let bytes = parts.next()?.parse().ok()?;
        let media_type = MediaType::parse(parts.next()?)?;
        let stored = Stored { sha256, bytes, first: Vec::new() };
        Some(Self { stored, media_type, name: parts.next()?.to_owned() })
    }
}

/// No path of a form has a line break: a seal is never the token of a form.
fn sealed_text(path: &str, told: &str) -> String {
    format!("{path}\n{told}")
}

/// The files of the form that was posted to `path`, at most `most`.
pub(super) fn attached(
    visit: &Visit,
    path: &str,
    most: usize,
) -> Result<Vec<Attachment>, Vec<Fault>> {
    let mut faults = visit.file_faults.clone();
    let mut attachments: Vec<Attachment> = Vec::new();
    for sealed in visit.form.all(KEPT) {
        let session = visit.session.as_ref();
        let Some(kept) = session.and_then(|it| Kept::open(sealed, it, path)) else {
            let text = "En fil som valdes tidigare finns inte kvar. Välj den på nytt.".to_owned();
            faults.push(Fault { field: CHOSEN, text });
            continue;
        };
        let Kept { stored: Stored { sha256, bytes, .. }, media_type, name } = kept;
        if attachments.iter().any(|it| it.sha256 == sha256) {
            continue;
        }
        let id = format!("bilaga-{}", attachments.len() + 1);
        attachments.push(Attachment { id, file_name: name, media_type, sha256, bytes });
    }
    if attachments.len() > most {
        faults.push(too_many(most));
    }
    if faults.is_empty() { Ok(attachments) } else { Err(faults) }
}

/// What is wrong with those of `attachments` that are not on disk any more.
pub(super) async fn missing(
    desk: &Desk,
    attachments: &[Attachment],
) -> Result<Vec<Fault>, Trouble> {
    let (blobs, wanted) = (desk.cases.blobs().clone(), attachments.to_vec());
    let is_there = move |it: &Attachment| match blobs.length_of_fresh(&it.sha256) {
        Ok(bytes) => Ok(bytes == it.bytes),
        Err(BlobError::Absent { .. }) => Ok(false),
        Err(error) => Err(error),
    };
    blocking(move || {
        let mut faults = Vec::new();
        for it in wanted {
            if !is_there(&it)? {
                let text = format!("Filen {} finns inte kvar. Välj den på nytt.", it.file_name);
                faults.push(Fault { field: CHOSEN, text });
            }
        }
        Ok(faults)
    })
    .await
}

/// The field: files that are there, to be kept or not, and more to choose.
pub(super) fn field(visit: &Visit, path: &str, form: &Form, faults: &[Fault]) -> Markup {
    let session = visit.session.as_ref();
    let kept = form.all(KEPT).into_iter().filter_map(|sealed| {
        let kept = session.and_then(|it| Kept::open(sealed, it, path))?;
        Some((sealed, kept))
    });
    let own: Vec<&Fault> = faults.iter().filter(|it| it.field == CHOSEN).collect();
    html! {
        fieldset.wrong[!own.is_empty()] {
            legend { "Filer (valfritt)" }
            @for fault in own { p.fault { (fault.text) } }
            @for (n, (sealed, kept)) in kept.enumerate() {
                p.check {
                    input type="checkbox" id={ "bilaga-" (n) } name=(KEPT) value=(sealed) checked;
                    label for={ "bilaga-" (n) } {
                        (kept.name) " (" (kept.stored.bytes.div_ceil(1024)) " kB)"
                    }
                }
            }
            label for=(CHOSEN) { "Välj filer" }
            p.hint id="fil-hjalp" { "PDF, JPEG, PNG eller GIF, högst 20 MB var." }
            input type="file" id=(CHOSEN) name=(CHOSEN) multiple accept=(OFFERED)
                aria-describedby="fil-hjalp";
        }
    }
}
const _: () = assert!(limits::ATTACHMENT_BYTES_MAX == 20 * 1024 * 1024);
