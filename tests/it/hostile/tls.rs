//! TLS that means harm: no handshake, half a one, one that never ends, and one more than there should be.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Besieged, PATIENCE, connect};
use crate::support::{World, certs, not_run};

/// The gateway's bound for a handshake, and some more.
const HANDSHAKE: Duration = Duration::from_secs(14);

#[test]
fn plain_http_and_other_noise_at_the_tls_door_are_told_in_the_log() {
    let world = World::plan().start();
    let from = world.log().len();
    let mut plain = TcpStream::connect(world.https).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    plain.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut told = String::new();
    plain.read_to_string(&mut told).unwrap();
    assert!(told.contains("HTTPS only"), "{told}");
    world.wait_log(from, "plain HTTP came to the TLS port");
    let mut noise = TcpStream::connect(world.https).unwrap();
    noise.write_all(b"\x00\x01\x02noise").unwrap();
    world.wait_log(from, "what came is not TLS");
}

/// The first thing that a client says.
fn hello() -> Vec<u8> {
    let roots = rustls::RootCertStore::empty();
    let config = rustls::ClientConfig::builder_with_provider(klagomal::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// Each byte of a handshake in a record of its own.
fn in_small_records(handshake: &[u8]) -> Vec<u8> {
    handshake[5..].iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect()
}

fn tcp(world: &World) -> TcpStream {
    let stream = TcpStream::connect(world.https).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whether the gateway ends it, whatever it says first; how long that took.
fn ended(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let mut some = [0; 4096];
    loop {
        match stream.read(&mut some) {
            Ok(0) => return began.elapsed(),
            Ok(_) => assert!(began.elapsed() < PATIENCE, "it goes on talking"),
            Err(error) => {
                use std::io::ErrorKind::{TimedOut, WouldBlock};
                assert!(![TimedOut, WouldBlock].contains(&error.kind()), "still open");
                return began.elapsed();
            }
        }
    }
}

#[test]
fn what_is_no_handshake_ends_the_connection() {
    let mut besieged = Besieged::start();
    let hello = hello();
    // A handshake that says it is 16 MB long, in as large records as there are.
    let mut huge = Vec::new();
    for at in 0..64 {
        huge.extend_from_slice(&[22, 3, 1, 0x40, 0]);
        huge.extend_from_slice(if at == 0 { &[1, 0xff, 0xff, 0xff] } else { &[0; 4] });
        huge.resize(huge.len() + 0x4000 - 4, 0);
    }
    let mut garbled = hello.clone();
    garbled[50..].fill(0xff);
    let changes = [&hello[..], &[20, 3, 3, 0, 1, 1].repeat(1_000)].concat();
    let alerts = [&hello[..], &[21, 3, 3, 0, 2, 1, 90].repeat(10_000)].concat();
    let empty = [&[22, 3, 1, 0, 0].repeat(10_000)[..], &hello].concat();
    let data = [&hello[..], &[23, 3, 3, 0, 5], b"hello"].concat();
    for (what, bytes) in [
        ("garbage", vec![0xa5; 100_000]),
        ("zeros", vec![0; 100_000]),
        ("a record of no known kind", vec![99, 3, 1, 0, 1, 0]),
        ("a record that is too long", [&[22, 3, 1, 0xff, 0xff][..], &[0; 70_000]].concat()),
        ("a handshake of 16 MB", huge),
        ("a garbled hello", garbled),
        ("a hello twice", hello.repeat(2)),
        ("SSL 3.0", vec![22, 3, 0, 0, 4, 1, 0, 0, 0]),
        ("SSL 2.0", vec![0x80, 46, 1, 0, 2, 0, 21, 0, 0, 0, 16]),
        ("changes of cipher", changes),
        ("warnings", alerts),
        ("empty records", empty),
        ("data before the handshake", data),
    ] {
        let mut stream = tcp(&besieged.world);
        // Who refuses early may close while we still write.
        drop(stream.write_all(&bytes));
        let took = ended(&mut stream);
        assert!(took < HANDSHAKE, "{what}: {took:?}");
    }
    besieged.is_well(0);
    besieged.has_withstood(9);
}

#[test]
fn half_a_connection_is_ended() {
    let mut besieged = Besieged::start();
    let hello = hello();
    for bytes in [&[][..], &hello[..3], &hello[..hello.len() / 2], &hello] {
        let mut stream = tcp(&besieged.world);
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let took = ended(&mut stream);
        assert!(took < HANDSHAKE, "{} bytes: {took:?}", bytes.len());
    }
    // After the handshake: nothing, half a head, half a message; gone without a word of parting.
    let message = Besieged::forwarded();
    let head = format!("POST /vp HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", message.len());
    for said in ["", &head[..20], &head, &format!("{head}{}", &message[..message.len() - 1])] {
        for _ in 0..20 {
            let mut connection = connect(&besieged.world, "region");
            connection.shake_hands().unwrap();
            connection.send(said.as_bytes()).unwrap();
        }
    }
    besieged.is_well(0);
    besieged.has_withstood(9);
}

#[test]
fn a_handshake_that_never_ends_is_given_up_and_delays_nobody() {
    let mut besieged = Besieged::start();
    let small = in_small_records(&hello());
    // Silent ones, as many as a small attacker has.
    let mut silent: Vec<TcpStream> = (0..300).map(|_| tcp(&besieged.world)).collect();
    let world = &besieged.world;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut slow = tcp(world);
            let began = Instant::now();
            slow.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let mut one = [0; 1];
            for piece in small.chunks(3) {
                let closed = slow.write_all(piece).is_err() || matches!(slow.read(&mut one), Ok(0));
                if closed {
                    break;
                }
            }
            assert!(began.elapsed() < HANDSHAKE, "{:?}", began.elapsed());
        });
        for _ in 0..10 {
            let began = Instant::now();
            let mut connection = connect(world, "region");
            connection.shake_hands().unwrap();
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        }
    });
    for stream in &mut silent {
        assert!(ended(stream) < HANDSHAKE);
    }
    besieged.is_well(0);
    besieged.has_withstood(9);
}

#[test]
fn a_hello_in_a_thousand_records_is_a_hello() {
    let mut besieged = Besieged::start();
    let mut stream = tcp(&besieged.world);
    stream.write_all(&in_small_records(&hello())).unwrap();
    let mut kind = [0; 6];
    stream.read_exact(&mut kind).unwrap();
    // A handshake record with the server's hello, or the end of it: not silence.
    assert!(matches!((kind[0], kind[5]), (22, 2) | (21, _)), "{kind:?}");
    drop(stream);
    besieged.is_well(0);
    besieged.has_withstood(9);
}

#[test]
fn nobody_shakes_hands_again_on_an_open_connection() {
    if Command::new("openssl").arg("version").output().is_err() {
        return not_run("openssl is not here");
    }
    let mut besieged = Besieged::start();
    let file = |name: &str| certs().join(name).display().to_string();
    let mut client = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect", &besieged.world.https.to_string()])
        .args([
            "-cert",
            &file("region.crt"),
            "-cert_chain",
            &file("region.crt"),
            "-key",
            &file("region.key"),
            "-CAfile",
            &file("ca.crt"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = client.stdin.take().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    // A line `R` asks for another handshake.
    for _ in 0..20 {
        if stdin.write_all(b"R\n").is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(stdin);
    let began = Instant::now();
    let done = client.wait_with_output().unwrap();
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    let told = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(told.contains("Verify return code: 0 (ok)"), "{told}");
    assert!(told.contains("RENEGOTIATING"), "{told}");
    assert!(told.contains("no renegotiation") || told.contains("alert"), "{told}");
    besieged.is_well(0);
    besieged.has_withstood(9);
}
