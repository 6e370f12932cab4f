//! More callers than there is room for: calls begin when their time comes, whatever became of those
//! before them.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::{sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::http::Caller;
use super::messages::{File, VC1, case_id, complaint};

/// A caller that has heard nothing for this long gives up: the platform's own figure.
const PATIENCE: Duration = Duration::from_secs(29);

/// Callers come from so many addresses.
const ADDRESSES: u64 = 32;

/// Calls under way at once; what would begin beyond them is not counted as offered.
const UNDER_WAY_MAX: u64 = 2000;

/// Each call is about a case of its own.
static MADE: AtomicU64 = AtomicU64::new(0);

/// Broken calls that are told one by one.
const TOLD_MAX: u64 = 5;

/// What became of the calls.
#[derive(Debug, Default)]
pub struct Tally {
    /// Begun.
    pub offered: AtomicU64,
    /// Answered with OK.
    pub good: AtomicU64,
    /// Of these, those that were answered before the last call began.
    pub in_time: AtomicU64,
    /// Answered with VP012 and when to come again.
    pub refused: AtomicU64,
    /// Let go before the call was sent.
    pub shut: AtomicU64,
    /// Sent, and not answered; or answered with something else.
    pub broken: AtomicU64,
    /// How long each answer took from the beginning of its call, microseconds.
    pub waits: Mutex<Vec<u32>>,
    /// Broken, and told one by one until there are too many.
    told: AtomicU64,
    ended: AtomicU64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |it: &AtomicU64| it.load(Ordering::SeqCst);
        let waits = self.waits.lock().unwrap();
        let answers = u64::try_from(waits.len()).unwrap().max(1);
        write!(
            f,
            "{} offered: {} OK, {} refused, {} let go at the door, {} broken; {} ms to an answer",
            of(&self.offered),
            of(&self.good),
            of(&self.refused),
            of(&self.shut),
            of(&self.broken),
            waits.iter().map(|it| u64::from(*it)).sum::<u64>() / answers / 1000,
        )
    }
}

/// What stands in a message where each call has something of its own.
const NUMBER: &str = "000000000000";

/// One who makes many calls at once.
#[derive(Debug)]
pub struct Flood {
    door: SocketAddr,
    config: Arc<ClientConfig>,
    /// Made once: who floods is not to be slower than who is flooded.
    call: String,
    numbered: bool,
    runtime: Runtime,
}

enum End {
    Good,
    Refused,
    Shut,
    Broken(String),
}

impl Flood {
    /// Calls `door` as `caller`, each time with a new case and a file of `file_bytes`, or none.
    pub fn new(door: SocketAddr, caller: &Caller, file_bytes: usize) -> Arc<Self> {
        let file = (file_bytes > 0).then(|| File::pdf("fil.pdf", file_bytes, 1));
        let files: Vec<File> = file.into_iter().collect();
        let id = format!("7c1c3a52-61f2-4a44-8f07-{NUMBER}");
        let case = case_id(&format!("f-{NUMBER}"));
        Self::with(door, caller, "/vp", &complaint(VC1, &id, &case, "Mycket.", &files))
    }

    /// Calls `door` as `caller`, each time with `message`, whose answer says `OK`.
    pub fn with(door: SocketAddr, caller: &Caller, path: &str, message: &str) -> Arc<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let config = Arc::clone(&caller.config);
        let call = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n\
             Content-Length: {}\r\n\r\n{message}",
            message.len()
        );
        Arc::new(Self {
            door,
            config,
            numbered: call.contains(NUMBER),
            call,
            runtime: runtime.unwrap(),
        })
    }

    /// `callers` callers that each make one call after another, with a new connection or one that
    /// they keep, for `time`.
    pub fn steadily(self: &Arc<Self>, callers: u64, keep: bool, time: Duration) -> Tally {
        self.each(callers, time, |of, tally, until, _| async move {
            let mut kept = None;
            while Instant::now() < until {
                of.one(&tally, &mut kept, Instant::now()).await;
                if !keep {
                    kept = None;
                }
            }
        })
    }

    /// `callers` callers that keep their connections and make `rate` calls a second together, one
    /// after another, for `time`. A call that begins late has waited since it was due.
    #[allow(dead_code, reason = "tests/bench/ takes its figures so")]
    pub fn evenly(self: &Arc<Self>, callers: u64, rate: f64, time: Duration) -> Tally {
        self.each(callers, time, move |of, tally, until, caller| async move {
            let between = Duration::from_secs_f64(callers as f64 / rate);
            let mut kept = None;
            let mut due = Instant::now() + between.mul_f64(caller as f64 / callers as f64);
            while due < until {
                sleep_until(due.into()).await;
                of.one(&tally, &mut kept, due).await;
                due += between;
            }
        })
    }

    fn each<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        callers: u64,
        time: Duration,
        calls: impl Fn(Arc<Self>, Arc<Tally>, Instant, u64) -> F,
    ) -> Tally {
        let tally = Arc::<Tally>::default();
        self.runtime.block_on(async {
            let until = Instant::now() + time;
            let mut all = tokio::task::JoinSet::new();
            for caller in 0..callers {
                all.spawn(calls(Arc::clone(self), Arc::clone(&tally), until, caller));
            }
            all.join_all().await;
        });
        Arc::into_inner(tally).unwrap()
    }

    /// `rate` calls a second, each on a connection of its own, for `time`; ends when the last has.
    pub fn openly(self: &Arc<Self>, rate: f64, time: Duration) -> Tally {
        let tally = Arc::<Tally>::default();
        self.runtime.block_on(async {
            let start = tokio::time::Instant::now();
            let mut number = 0.0;
            loop {
                let at = start + Duration::from_secs_f64(number / rate);
                if at >= start + time {
                    break;
                }
                number += 1.0;
                sleep_until(at).await;
                let under_way =
                    tally.offered.load(Ordering::SeqCst) - tally.ended.load(Ordering::SeqCst);
                if under_way < UNDER_WAY_MAX {
                    let (of, tally) = (Arc::clone(self), Arc::clone(&tally));
                    let begun = Instant::now();
                    tokio::spawn(async move { of.one(&tally, &mut None, begun).await });
                }
            }
            tally.in_time.store(tally.good.load(Ordering::SeqCst), Ordering::SeqCst);
            while tally.ended.load(Ordering::SeqCst) < tally.offered.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // The last task lets go of its tally just after it has counted.
            tokio::time::sleep(Duration::from_millis(100)).await;
        });
        Arc::into_inner(tally).unwrap()
    }

    async fn one(&self, tally: &Tally, kept: &mut Option<TlsStream<TcpStream>>, begun: Instant) {
        tally.offered.fetch_add(1, Ordering::SeqCst);
        let end = timeout(PATIENCE, self.call(kept)).await;
        let count = match end.unwrap_or_else(|_| End::Broken("no answer in time".to_owned())) {
            End::Good => &tally.good,
            End::Refused => &tally.refused,
            End::Shut => &tally.shut,
            End::Broken(why) => {
                *kept = None;
                if tally.told.fetch_add(1, Ordering::SeqCst) < TOLD_MAX {
                    eprintln!("broken: {why}");
                }
                &tally.broken
            }
        };
        if kept.is_some() {
            let micros = u32::try_from(begun.elapsed().as_micros()).unwrap();
            tally.waits.lock().unwrap().push(micros);
        }
        count.fetch_add(1, Ordering::SeqCst);
        tally.ended.fetch_add(1, Ordering::SeqCst);
    }

    async fn call(&self, kept: &mut Option<TlsStream<TcpStream>>) -> End {
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => match self.connect(number).await {
                Ok(stream) => stream,
                Err(_) => return End::Shut,
            },
        };
        let call = match self.numbered {
            true => Cow::from(self.call.replace(NUMBER, &format!("{number:012x}"))),
            false => Cow::from(&self.call),
        };
        match exchange(&mut stream, call.as_bytes()).await {
            Ok((end, goes_on)) => {
                *kept = Some(stream).filter(|_| goes_on);
                end
            }
            Err(error) => End::Broken(format!("sent, not answered: {error}")),
        }
    }

    async fn connect(&self, number: u64) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        let from = Ipv4Addr::new(127, 0, 1, u8::try_from(1 + number % ADDRESSES).unwrap());
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = socket.connect(self.door).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await
    }
}

/// Sends a call and reads its answer: what it says, and whether the connection goes on.
async fn exchange(stream: &mut TlsStream<TcpStream>, call: &[u8]) -> io::Result<(End, bool)> {
    stream.write_all(call).await?;
    stream.flush().await?;
    let mut came = Vec::new();
    loop {
        if stream.read_buf(&mut came).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(head) = super::http::find(&came, b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&came[..head]).to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|it| it.lines().next());
        let length: usize = length.and_then(|it| it.parse().ok()).unwrap_or(0);
        if came.len() < head + 4 + length {
            continue;
        }
        let body = String::from_utf8_lossy(&came[head + 4..]).into_owned();
        let end = match () {
            () if body.contains(">OK<") => End::Good,
            () if body.contains("VP012") && text.contains("retry-after: ") => End::Refused,
            () => End::Broken(format!("{text}\n{body}")),
        };
        return Ok((end, !text.contains("connection: close")));
    }
}
