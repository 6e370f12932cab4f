//! The other end of the admin door: one call, and what the gateway said.

use std::time::Duration;

use serde_json::Value;

/// The longest an operator's call takes: a reload of a national routing configuration.
const TIME_MAX: Duration = Duration::from_secs(60);

/// One file that is as large as a case with all its files can be.
const FILE_TIME_MAX: Duration = Duration::from_secs(30 * 60);

/// Why a call gave nothing, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no gateway answers at {url}: {cause}; start one with `klagomal serve`, or name its admin \
         door with --admin"
    )]
    NoGateway { url: String, cause: String },
    /// The gateway said no, and why.
    #[error("{0}")]
    Refused(String),
    #[error("what the gateway gave cannot be written")]
    Unwritten(#[source] std::io::Error),
    #[error("the gateway's answer cannot be read")]
    Unreadable(#[source] serde_json::Error),
}

/// Calls the admin door at `url`: a POST where there is a body, else a GET.
///
/// # Errors
/// When nobody answers, or the gateway refuses.
pub async fn call(url: &str, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
    call_within(TIME_MAX, url, path, body).await
}

/// As [`call`], for what takes another time.
///
/// # Errors
/// As [`call`].
pub async fn call_within(
    time: Duration,
    url: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, ClientError> {
    let unreachable = |error: reqwest::Error| ClientError::NoGateway {
        url: url.to_owned(),
        cause: crate::telemetry::Chain(&error).to_string(),
    };
    let client =
        reqwest::Client::builder().no_proxy().timeout(time).build().map_err(unreachable)?;
    let request = match body {
        Some(body) => client
            .post(format!("{url}{path}"))
            .header("content-type", "application/json")
            .body(body.to_string()),
        None => client.get(format!("{url}{path}")),
    };
    let answer = request.send().await.map_err(unreachable)?;
    let status = answer.status();
    let text = answer.text().await.map_err(unreachable)?;
    if !status.is_success() {
        return Err(refused(status, &text));
    }
    serde_json::from_str(&text).map_err(ClientError::Unreadable)
}

/// Posts `body` and brings the answer to `into`, a piece at a time; how many bytes.
///
/// # Errors
/// When nobody answers, the gateway refuses, or the file cannot be written.
pub async fn download(
    url: &str,
    path: &str,
    body: &Value,
    into: &mut (dyn std::io::Write + Send),
) -> Result<u64, ClientError> {
    let unreachable = |error: reqwest::Error| ClientError::NoGateway {
        url: url.to_owned(),
        cause: crate::telemetry::Chain(&error).to_string(),
    };
    let client = reqwest::Client::builder().no_proxy().timeout(FILE_TIME_MAX);
    let request = client.build().map_err(unreachable)?.post(format!("{url}{path}"));
    let request = request.header("content-type", "application/json").body(body.to_string());
    let mut answer = request.send().await.map_err(unreachable)?;
    if !answer.status().is_success() {
        return Err(refused(answer.status(), &answer.text().await.map_err(unreachable)?));
    }
    let mut bytes = 0;
    while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
        into.write_all(&piece).map_err(ClientError::Unwritten)?;
        bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
    }
    into.flush().map_err(ClientError::Unwritten)?;
    Ok(bytes)
}

fn refused(status: reqwest::StatusCode, text: &str) -> ClientError {
    let why = serde_json::from_str::<Value>(text).ok();
    let why = why.as_ref().and_then(|it| it.get("error")).and_then(Value::as_str);
    let why = why.map_or_else(|| format!("the gateway answered {status}: {text}"), str::to_owned);
    ClientError::Refused(why)
}
