//! Bounds of the staff page, and of logging in to it.

use std::time::Duration;

/// How long a step can be taken back: nothing is sent to anybody before.
pub const UNDO_TIME: Duration = Duration::from_secs(60);

/// Rows on one page of a list.
pub const STAFF_ROWS_MAX: usize = 50;

/// Cases looked at for one page of a filtered list; each costs some tens of microseconds.
pub const STAFF_ROWS_LOOKED_MAX: usize = 500;

/// Cases of one person that are shown.
pub const STAFF_PERSON_CASES_MAX: usize = 200;

/// Readings of one case that are shown or handed out.
pub const STAFF_READINGS_MAX: usize = 10_000;

/// A session that is not used for this long has ended: somebody left the room.
pub const STAFF_IDLE_MAX: Duration = Duration::from_secs(15 * 60);

/// The longest session: a working day.
pub const STAFF_SESSION_MAX: Duration = Duration::from_secs(9 * 3600);

/// Open sessions; each is about 300 bytes.
pub const STAFF_SESSIONS_MAX: usize = 10_000;

/// Open sessions of one certificate, the newest: a person at a few browsers, and nobody fills the
/// table for the others.
pub const STAFF_SESSIONS_PER_PERSON_MAX: usize = 5;

/// One form of the staff page. Three texts of [`super::TEXT_CHARS_MAX`], each character escaped as forms do
/// it at worst (twelve bytes), are about 720 KB.
pub const STAFF_FORM_BYTES_MAX: usize = 1024 * 1024;

/// One form with files: the largest number of the largest files, each too large once, and the texts.
/// More is not read to its end, and the browser is cut off.
pub const STAFF_UPLOAD_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// One call to the staff page with files: 200 MB over the slowest line of a clinic (3 Mbit/s).
pub const STAFF_UPLOAD_TIME_MAX: Duration = Duration::from_secs(10 * 60);

/// Forms with files that are read at once; each takes some 300 KB of memory meanwhile.
pub const STAFF_UPLOADS_MAX: usize = 16;

/// PDFs and archives of cases that are made at once; each holds a case's words in memory.
pub const EXPORTS_MAX: usize = 4;

/// What the PDF and the XML of a case take on disk beside its files: those of a case of a thousand
/// messages are about 60 MB.
pub const EXPORT_WORDS_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes that a field of a form counts for beside its name and value, so that empty ones are no way
/// around the bound.
pub const FORM_FIELD_BYTES: usize = 64;

/// How old a file is at least when the sweep takes it because no record names it. A form that holds it
/// is no longer good then, and no message takes so long from its files to its record.
pub const ORPHAN_AGE_MIN: Duration = Duration::from_secs(24 * 3600);

/// How often files that no record names are looked for.
pub const ORPHAN_LOOK: Duration = Duration::from_secs(6 * 3600);

const _: () = assert!(STAFF_SESSION_MAX.as_secs() < ORPHAN_AGE_MIN.as_secs());
const _: () = assert!(
    STAFF_UPLOAD_BYTES_MAX
        > super::HANDLER_ATTACHMENTS_MAX as u64 * super::ATTACHMENT_BYTES_MAX
            + STAFF_FORM_BYTES_MAX as u64
);

/// One call to the staff page, form and answer.
pub const STAFF_CALL_TIME_MAX: Duration = Duration::from_secs(30);

/// Connections to the staff page; a browser opens six.
pub const STAFF_CONNECTIONS_MAX: usize = 1024;

/// One call to a login service (OpenID Connect); a person waits for at most three.
pub const OIDC_CALL_TIME_MAX: Duration = Duration::from_secs(8);

/// One answer of a login service: its description, its keys or a token are some kilobytes.
pub const OIDC_ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Logins that wait for the login service at once.
pub const OIDC_CALLS_MAX: usize = 32;

/// From the beginning of a login to its end, with a card that must be found first.
pub const OIDC_LOGIN_TIME_MAX: Duration = Duration::from_secs(10 * 60);

/// How much the clock of a login service may differ from ours.
pub const OIDC_CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(60);

/// How long a login service's description of itself is used: a new key is known after that.
pub const OIDC_DISCOVERY_AGE_MAX: Duration = Duration::from_secs(60 * 60);

/// How often it is asked for at the most when a token is signed with a key that is not known.
pub const OIDC_DISCOVERY_AGE_MIN: Duration = Duration::from_secs(60);

/// A login service's code for why it refuses; those of the standard are shorter.
pub const OIDC_CODE_CHARS_MAX: usize = 64;

/// The query that a login service sends a browser back with: a code is a few hundred bytes.
pub const OIDC_QUERY_BYTES_MAX: usize = 8 * 1024;

/// The claim of Swedish login services for care that tells the HSA-id (SITHS eID, Inera IdP).
pub const OIDC_HSA_ID_CLAIM: &str = "employeeHsaId";

/// One step with a mail server: a connection, a command, the text.
pub const MAIL_STEP_TIME_MAX: Duration = Duration::from_secs(20);

/// One mail, from the connection to the server's word that it has it (RFC 5321 allows ten minutes for
/// that word; a notice is sent again instead).
pub const MAIL_TIME_MAX: Duration = Duration::from_secs(90);

/// Cases of one unit that are told of at one look, so that a first look after a long time is no flood.
pub const REMINDERS_PER_LOOK_MAX: usize = 500;
