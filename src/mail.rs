//! Mail to staff over SMTP: one connection for each mail, and what the server's answer means.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use crate::limits;
use crate::producer::Judgement;

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// In the clear until STARTTLS, which the server must have (RFC 3207).
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// In the clear, to this machine alone.
    None,
}

/// `[mail]` of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of the server, which its certificate must have.
    pub host: String,
    pub port: u16,
    pub security: Security,
    /// Who the mails are from.
    pub from: String,
    /// Absent: the server takes mail without a login.
    pub user: Option<String>,
    /// A file with the password of `user`.
    pub password_file: Option<PathBuf>,
    /// The issuers of the server's certificate (PEM); empty means those that the machine trusts.
    pub trust: Vec<PathBuf>,
    /// Where browsers reach the staff page, without a slash at the end.
    pub page: String,
}

/// Why mail cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate or the name of the server does not do.
    #[error("the TLS settings for the mail server")]
    Tls(#[source] lettre::transport::smtp::Error),
    /// Not an address.
    #[error("{0:?} is no address for mail, such as klagomal@region.example.se")]
    Address(String),
}

/// One mail.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Tells it from every other; the same again for the same mail sent again.
    pub id: String,
    /// At least one.
    pub to: Vec<String>,
    pub subject: String,
    pub text: String,
    pub at: Timestamp,
}

/// The mail server. Made anew, it reads its files anew.
#[derive(Debug)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// Reads the files of the settings; the server is not called.
    ///
    /// # Errors
    /// When a file or the sender's address does not do.
    pub fn new(settings: &Settings) -> Result<Self, MailError> {
        let tls = match settings.security {
            Security::None => Tls::None,
            Security::Starttls => Tls::Required(tls(settings)?),
            Security::Tls => Tls::Wrapper(tls(settings)?),
        };
        let builder: AsyncSmtpTransportBuilder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host);
        let mut builder =
            builder.port(settings.port).tls(tls).timeout(Some(limits::MAIL_STEP_TIME_MAX));
        if let Some(user) = &settings.user {
            let password = settings.password_file.as_deref().map(secret).transpose()?;
            let password = password.unwrap_or_default();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        let from = settings.from.parse::<Mailbox>();
        let from = from.map_err(|_| MailError::Address(settings.from.clone()))?;
        Ok(Self { transport: builder.build(), from })
    }

    /// Sends one mail within [`limits::MAIL_TIME_MAX`]. Of the server's words only the code is told:
    /// the rest may name somebody.
    pub async fn send(&self, mail: Mail) -> Judgement {
        let (envelope, message) = match self.written(&mail) {
            Ok(written) => written,
            Err(why) => return Judgement::Refused { resend_helps: false, why },
        };
        let sent = self.transport.send_raw(&envelope, &message);
        match tokio::time::timeout(limits::MAIL_TIME_MAX, sent).await {
            Ok(Ok(_)) => Judgement::Done,
            Ok(Err(error)) => judge(&error),
            Err(_) => {
                let seconds = limits::MAIL_TIME_MAX.as_secs();
                Judgement::Unknown { why: format!("the mail server took over {seconds} s") }
            }
        }
    }

    fn written(&self, mail: &Mail) -> Result<(Envelope, Vec<u8>), String> {
        // An address is somebody's: it is not told.
        let to: Result<Vec<Address>, String> = mail
            .to
            .iter()
            .map(|it| it.parse().map_err(|_| "an address of the receiver is none".to_owned()))
            .collect();
        let to = to?;
        let domain = self.from.email.domain();
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(&mail.subject)
            .date(moment(mail.at))
            .message_id(Some(format!("<{}@{domain}>", mail.id)))
            .header(ContentType::TEXT_PLAIN);
        for address in &to {
            message = message.to(Mailbox::new(None, address.clone()));
        }
        let wrong = |error: &dyn std::error::Error| format!("it cannot be written: {error}");
        let mut message = message.body(mail.text.clone()).map_err(|it| wrong(&it))?;
        // Nobody's out-of-office answers it (RFC 3834).
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        message.headers_mut().insert_raw(HeaderValue::new(automatic, "auto-generated".to_owned()));
        let envelope = Envelope::new(Some(self.from.email.clone()), to);
        Ok((envelope.map_err(|it| wrong(&it))?, message.formatted()))
    }
}

fn moment(at: Timestamp) -> SystemTime {
    let since = u64::try_from(at.as_second()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(since)
}

fn secret(path: &Path) -> Result<String, MailError> {
    let text = fs::read_to_string(path)
        .map_err(|source| MailError::File { path: path.to_owned(), source })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn tls(settings: &Settings) -> Result<TlsParameters, MailError> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if !settings.trust.is_empty() {
        builder = builder.certificate_store(CertificateStore::None);
    }
    for path in &settings.trust {
        let pem =
            fs::read(path).map_err(|source| MailError::File { path: path.clone(), source })?;
        let all = Certificate::from_pem(&pem).map_err(MailError::Tls)?;
        builder = builder.add_root_certificate(all);
    }
    builder.build_rustls().map_err(MailError::Tls)
}

/// What an answer means for sending the mail again. A mail that may have been taken is sent again
/// under the same id: two notices are better than none.
fn judge(error: &lettre::transport::smtp::Error) -> Judgement {
    let code = error.status().map(|code| code.to_string());
    match code.as_deref() {
        // Who may send is a matter of the settings, and is mended there for all of them.
        Some(code) if code.starts_with("53") || code.starts_with('4') => {
            Judgement::RetryLater { why: format!("the mail server answered {code}") }
        }
        Some(code) => Judgement::Refused {
            resend_helps: false,
            why: format!("the mail server answered {code}"),
        },
        // What cannot be read may name somebody; and the mail may have been taken.
        None if error.is_response() => {
            Judgement::Unknown { why: "the mail server's answer cannot be read".to_owned() }
        }
        None if error.is_timeout() => {
            Judgement::Unknown { why: "the mail server did not answer in time".to_owned() }
        }
        None => Judgement::RetryLater { why: format!("the mail server: {error}") },
    }
}
