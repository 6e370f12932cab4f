//! What the gateway tells of calls: figures, log lines, traces, spans; and how it paces who calls.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::support::{
    Act, Answer, Call, Connection, Peer, VC1, VC2, World, case_id, certs, complaint, find,
    inbox_answer, region_answer,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER_SPAN: &str = "00f067aa0ba902b7";

/// A made-up contract that is passed on to the region's system, at any address.
const CONTRACT: &str = "urn:riv:example:madeup:GetThingResponder:1";

fn routes(more: &str) -> String {
    let permission = |consumer: &str| {
        format!(
            "[[permission]]\nconsumer = \"SE0000000000-{consumer}\"\ncontract = \"{CONTRACT}\"\n\
             logical_address = \"*\"\n"
        )
    };
    format!(
        "[[route]]\ncontract = \"{CONTRACT}\"\nlogical_address = \"*\"\n\
         system = \"region-exempel\"\n{}{}{more}",
        permission("1177"),
        permission("REGION")
    )
}

fn envelope(contract: &str, address: &str, inside: &str) -> String {
    format!(
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Header>\
         <l:LogicalAddress xmlns:l=\"urn:riv:itintegration:registry:1\">{address}\
         </l:LogicalAddress></e:Header><e:Body><r:GetThing xmlns:r=\"{contract}\">{inside}\
         </r:GetThing></e:Body></e:Envelope>"
    )
}

fn thing() -> String {
    envelope(CONTRACT, "SE0000000000-VC9", "PÅHITTAT")
}

fn message(of: u32) -> String {
    let id = format!("66aa3a52-61f2-4a44-8f07-{of:012}");
    complaint(VC1, &id, &case_id(&format!("e-{of}")), "Vanligt.", &[])
}

fn answers(call: &Call) -> Act {
    if !call.says("GetThing") {
        return region_answer(call);
    }
    let fault = "<e:Fault><faultcode>e:Server</faultcode><faultstring>x</faultstring></e:Fault>";
    let (status, inside) = if call.says("FAULT") { (500, fault) } else { (200, "<r>OK</r>") };
    let text = format!(
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>{inside}\
         </e:Body></e:Envelope>"
    );
    Act::Answer(status, text)
}

fn send_with(connection: &mut Connection, headers: &str, body: &str) -> Answer {
    let head = format!(
        "POST /vp HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.send(head.as_bytes()).unwrap();
    connection.answer().unwrap()
}

/// The figures, by name with labels.
fn figures(world: &World) -> BTreeMap<String, f64> {
    let (status, text) = world.admin("/metrics");
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|it| !it.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(pair).collect()
}

/// Waits for a figure: the line of a call is written after its answer.
fn wait_figure(world: &World, name: &str, value: f64) -> BTreeMap<String, f64> {
    let start = Instant::now();
    loop {
        let all = figures(world);
        if all.get(name) == Some(&value) {
            return all;
        }
        let alike = || all.iter().filter(|(it, _)| it[..12] == name[..12]).collect::<Vec<_>>();
        assert!(start.elapsed() < Duration::from_secs(20), "{name} {value}: {:#?}", alike());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn call_of(contract: &str, consumer: &str, producer: &str, outcome: &str) -> String {
    format!(
        "{{contract=\"{contract}\",consumer=\"SE0000000000-{consumer}\",producer=\"{producer}\",\
         outcome=\"{outcome}\"}}"
    )
}

#[test]
fn the_figures_tell_every_outcome_by_names_of_the_configuration_only() {
    let region = Peer::start(certs(), "region", answers);
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let plan = World::plan().region(region.address).inkorg(inkorg.address);
    let world = plan.routing(&routes("")).set("log", "format = \"json\"").start();
    let post = |who: &str, body: &str| World::caller(who).post(world.https, body.as_bytes());
    let kept = message(1);
    assert_eq!(post("1177", &kept).unwrap().outcome(), "OK");
    assert_eq!(post("1177", &kept).unwrap().outcome(), "INFO ALREADY_RECEIVED");
    let changed = kept.replace("Vanligt.", "Annat.");
    assert!(post("1177", &changed).unwrap().outcome().contains("MESSAGE_ID_REUSED"));
    assert_eq!(post("region", &thing()).unwrap().status, 200);
    assert_eq!(post("region", &thing().replace("PÅHITTAT", "FAULT")).unwrap().status, 500);
    let unknown = envelope("urn:made:up:by:a:caller", "SE0000000000-VC1", "");
    assert!(post("obehorig", &unknown).unwrap().outcome().contains("VP004"));
    assert!(post("obehorig", &thing()).unwrap().outcome().contains("VP007"));
    assert!(post("1177", "no XML").unwrap().outcome().contains("VP015"));
    let nobody = World::caller("no-hsa-id").post(world.https, thing().as_bytes()).unwrap();
    assert!(nobody.outcome().contains("VP002"));
    drop(World::caller("self-signed").post(world.https, b"x"));
    world.wait_delivered(Duration::from_secs(20));

    let ours = "urn:klagomal:supportprocess:patientsafety:complaint:ProcessComplaintResponder:1";
    let last = call_of("other", "1177", "none", "VP015");
    let all = wait_figure(&world, &format!("klagomal_calls_total{last}"), 1.0);
    let of = |name: &str| *all.get(name).unwrap_or_else(|| panic!("{name}: {all:#?}"));
    for (labels, calls) in [
        (call_of(ours, "1177", "gateway", "accepted"), 1.0),
        (call_of(ours, "1177", "gateway", "repeated"), 1.0),
        (call_of(ours, "1177", "gateway", "rejected"), 1.0),
        (call_of(CONTRACT, "REGION", "region-exempel", "passed"), 1.0),
        (call_of(CONTRACT, "REGION", "region-exempel", "producer_fault"), 1.0),
    ] {
        assert_eq!(of(&format!("klagomal_calls_total{labels}")), calls, "{labels}");
        assert_eq!(of(&format!("klagomal_call_seconds_count{labels}")), calls, "{labels}");
        let called = f64::from(u8::from(labels.contains("region-exempel")));
        assert_eq!(of(&format!("klagomal_producer_seconds_count{labels}")), called, "{labels}");
    }
    let passed = call_of(CONTRACT, "REGION", "region-exempel", "passed");
    let sent = thing().len();
    assert_eq!(of(&format!("klagomal_received_bytes_total{passed}")), sent as f64);
    assert!(of(&format!("klagomal_sent_bytes_total{passed}")) > 100.0);
    // Nothing that a caller made up, and no caller that no row knows.
    let text = world.admin("/metrics").1;
    for never in ["urn:made:up", "SE0000000000-OBEHORIG", "VC9"] {
        assert!(!text.contains(never), "{never}: {text}");
    }
    let other = "contract=\"other\",consumer=\"other\",producer=\"none\"";
    assert_eq!(of(&format!("klagomal_calls_total{{{other},outcome=\"VP004\"}}")), 1.0);
    assert_eq!(of(&format!("klagomal_calls_total{{{other},outcome=\"VP002\"}}")), 1.0);
    assert_eq!(of("klagomal_handshakes_failed_total{reason=\"unknown_issuer\"}"), 1.0);
    assert_eq!(of("klagomal_calls_in_flight"), 0.0);
    assert_eq!(of("klagomal_store_available{}"), 1.0);
    assert!(of("klagomal_journal_syncs_total{}") >= 2.0);
    assert!(of("klagomal_journal_bytes_total{}") > 1000.0);
    assert_eq!(of("klagomal_outgoing{receiver=\"inkorg\",state=\"due\"}"), 0.0);
    assert_eq!(of("klagomal_outgoing_oldest_seconds{receiver=\"inkorg\"}"), 0.0);
    assert!(all.keys().any(|it| it.starts_with("klagomal_certificate_days{")), "{all:#?}");
    assert_eq!(of("klagomal_routing_refused{}"), 0.0);
    assert_eq!(world.json("/status")["doors"]["https"], world.https.to_string());

    // A routing change that does not take, and what is owed to a system that is away.
    drop(region);
    std::fs::write(world.dir.join("tak-config/bad.toml"), "no = 1\n").unwrap();
    wait_figure(&world, "klagomal_routing_refused{}", 1.0);
    let name = "klagomal_reloads_total{what=\"routing\",outcome=\"failed\"}";
    assert!(figures(&world)[name] >= 1.0);
}

#[test]
fn one_line_for_each_message_has_the_names_of_the_common_schema_and_the_trace_goes_on() {
    let traces = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&traces);
    let region = Peer::start(certs(), "region", move |call: &Call| {
        let value = |name: &str| call.header(name).map(str::to_owned);
        seen.lock().unwrap().push((value("traceparent"), value("tracestate")));
        answers(call)
    });
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let plan = World::plan().region(region.address).inkorg(inkorg.address);
    let world = plan.routing(&routes("")).set("log", "format = \"json\"").start();
    let mut connection = World::caller("region").connect(world.https).unwrap();
    let from = world.log().len();
    let headers = format!(
        "traceparent: 00-{TRACE}-{CALLER_SPAN}-01\r\ntracestate: a=1\r\n\
         x-skltp-correlation-id: corr-1\r\n"
    );
    let answer = send_with(&mut connection, &headers, &thing());
    assert_eq!(answer.status, 200);
    assert!(answer.header("traceparent").is_none());
    let line = world.wait_log(from, "corr-1");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let sent = traces.lock().unwrap()[0].clone();
    let parent = sent.0.unwrap();
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && !parent.contains(CALLER_SPAN));
    assert_eq!(sent.1.as_deref(), Some("a=1"));
    for (name, value) in [
        ("trace.id", TRACE),
        ("labels.correlationId", "corr-1"),
        ("labels.senderid", "SE0000000000-REGION"),
        ("labels.receiverid", "SE0000000000-VC9"),
        ("labels.servicecontract_namespace", CONTRACT),
        ("labels.rivversion", "rivtabp21"),
        ("labels.routerVagvalTrace", "SE0000000000-VC9,(default),*"),
        ("labels.routerBehorighetTrace", "SE0000000000-VC9,(default),*"),
        ("event.action", "resp-out"),
        ("event.outcome", "success"),
        ("destination.address", "localhost"),
    ] {
        assert_eq!(line[name], value, "{name}: {line:#}");
    }
    assert_eq!(line["http.response.status_code"], 200);
    assert_eq!(line["http.request.body.bytes"], thing().len());
    assert!(line["url.original"].as_str().unwrap().starts_with("https://localhost:"));
    assert!(line["event.duration"].as_u64().unwrap() > 1000);
    assert_eq!(line["span.id"].as_str().unwrap().len(), 16);

    // What is no trace begins one, and what is kept is delivered in the trace that it came in.
    let answer = send_with(&mut connection, "traceparent: 00-1-2-01\r\n", &thing());
    assert_eq!(answer.status, 200);
    let second = traces.lock().unwrap()[1].0.clone().unwrap();
    assert!(!second.contains(TRACE) && second.len() == 55, "{second}");
    let mut portal = World::caller("1177").connect(world.https).unwrap();
    let id = "66aa3a52-61f2-4a44-8f07-000000009001";
    let body = complaint(VC2, id, &case_id("e-9001"), "Ett.", &[]);
    assert_eq!(send_with(&mut portal, &headers, &body).outcome(), "OK");
    world.wait_delivered(Duration::from_secs(20));
    let third = traces.lock().unwrap()[2].0.clone().unwrap();
    assert!(third.starts_with(&format!("00-{TRACE}-")) && !third.contains(CALLER_SPAN), "{third}");
}

#[test]
fn a_consumer_that_floods_is_answered_at_once_and_another_is_unharmed() {
    let region = Peer::start(certs(), "region", answers);
    let system = "[[system]]\nhsa_id = \"SE0000000000-OBEHORIG\"\nname = \"Flod\"\n\
                  rate_in = \"5/min\"\n";
    let plan = World::plan().region(region.address).routing(&routes(system));
    let world = plan.set("limits", "consumer_rate = \"1000/s\"").start();
    let mut flood = World::caller("obehorig").connect(world.https).unwrap();
    let mut other = World::caller("region").connect(world.https).unwrap();
    let (mut heard, mut paced) = (0, 0);
    for _ in 0..50 {
        let answer = flood.post(thing().as_bytes()).unwrap();
        let outcome = answer.outcome();
        if outcome.contains("VP012") {
            paced += 1;
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=13).contains(&wait), "{wait}");
        } else {
            assert!(outcome.contains("VP007"), "{outcome}");
            heard += 1;
        }
        assert_eq!(other.post(thing().as_bytes()).unwrap().outcome(), "ANSWER");
    }
    // Who asks for a contract's description is paced as well.
    if flood.get("/?wsdl").unwrap().text().contains("VP012") {
        paced += 1;
    } else {
        heard += 1;
    }
    // The bucket's five, and one for each twelve seconds that a slow machine took.
    assert!((5..20).contains(&heard), "{heard}");
    let name = "klagomal_refused_total{limit=\"consumer_rate\"}";
    wait_figure(&world, name, f64::from(paced));
}

/// A collector of spans on a free port; each call takes `answer`.
fn collector(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<Span>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let spans = Arc::<Mutex<Vec<Span>>>::default();
    let kept = Arc::clone(&spans);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, kept) = (stream.unwrap(), Arc::clone(&kept));
            std::thread::spawn(move || {
                let (mut held, mut some) = (Vec::new(), [0; 16 * 1024]);
                while let Ok(read @ 1..) = stream.read(&mut some) {
                    held.extend_from_slice(&some[..read]);
                    let Some(end) = find(&held, b"\r\n\r\n") else { continue };
                    let head = String::from_utf8_lossy(&held[..end]).to_ascii_lowercase();
                    let length = head.lines().find_map(|it| it.strip_prefix("content-length: "));
                    let whole = end + 4 + length.unwrap().trim().parse::<usize>().unwrap();
                    if held.len() < whole {
                        continue;
                    }
                    assert!(head.starts_with("post /v1/traces "), "{head}");
                    assert!(head.contains("application/x-protobuf"), "{head}");
                    let all = ExportTraceServiceRequest::decode(&held[end + 4..whole]).unwrap();
                    let scopes = all.resource_spans.into_iter().flat_map(|it| it.scope_spans);
                    kept.lock().unwrap().extend(scopes.flat_map(|it| it.spans));
                    held.drain(..whole);
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (at, spans)
}

fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|it| it.key == name);
    match found.and_then(|it| it.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{name}: {other:?} in {span:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

#[test]
fn a_collector_gets_a_span_of_the_call_and_of_the_producer_s() {
    let (at, spans) = collector("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let region = Peer::start(certs(), "region", answers);
    let plan = World::plan().region(region.address).routing(&routes(""));
    let mut world = plan.set("telemetry", &format!("otlp = \"http://{at}\"")).start();
    let mut connection = World::caller("region").connect(world.https).unwrap();
    let headers = format!("traceparent: 00-{TRACE}-{CALLER_SPAN}-01\r\n");
    assert_eq!(send_with(&mut connection, &headers, &thing()).status, 200);
    drop(connection);
    // What waits is sent at the stop.
    world.stop();
    let spans = spans.lock().unwrap().clone();
    let of = |kind: i32| spans.iter().find(|it| it.kind == kind).expect("a span").clone();
    let (server, client) = (of(2), of(3));
    assert_eq!(spans.len(), 2, "{spans:?}");
    for span in [&server, &client] {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert_eq!(span.name, CONTRACT);
        assert_eq!(attribute(span, "labels.servicecontract_namespace"), CONTRACT);
        assert_eq!(attribute(span, "labels.senderid"), "SE0000000000-REGION");
        assert!(span.end_time_unix_nano > span.start_time_unix_nano);
    }
    assert_eq!(hex(&server.parent_span_id), CALLER_SPAN);
    assert_eq!(client.parent_span_id, server.span_id);
    assert_eq!(attribute(&server, "http.response.status_code"), "200");
    let sent = region.calls()[0].header("traceparent").unwrap().to_owned();
    assert_eq!(sent, format!("00-{TRACE}-{}-01", hex(&client.span_id)));
}

#[test]
fn a_collector_that_fails_or_hangs_costs_calls_nothing() {
    // It takes connections and never answers: the worst that one can do.
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let region = Peer::start(certs(), "region", answers);
    for (at, told) in [(hung.local_addr().unwrap(), false), ("127.0.0.1:1".parse().unwrap(), true)]
    {
        let plan = World::plan().region(region.address).routing(&routes(""));
        let mut world = plan.set("telemetry", &format!("otlp = \"http://{at}\"")).start();
        let mut connection = World::caller("region").connect(world.https).unwrap();
        let mut post = |calls: usize| {
            for _ in 0..calls {
                assert_eq!(connection.post(thing().as_bytes()).unwrap().outcome(), "ANSWER");
            }
        };
        post(200);
        let before = world.resident();
        // Two spans a call: more than the queue holds.
        post(klagomal::limits::SPANS_QUEUE_MAX * 3 / 4);
        let grown = world.resident().saturating_sub(before);
        assert!(grown < 32 * 1024 * 1024, "{grown} bytes more");
        if told {
            world.wait_log(0, "the collector takes no spans");
        }
        drop(connection);
        let (end, took) = world.stop();
        assert!(end.success() && took < Duration::from_secs(20), "{end} {took:?}");
    }
}

#[test]
fn a_sender_that_is_refused_while_it_still_sends_gets_the_answer() {
    let plan = World::plan().set("limits", "calls_in_flight = 1");
    let world = plan.set("server", "proxied = \"127.0.0.1:0\"").start();
    let half = |connection: &mut Connection, length: usize| {
        let head = format!(
            "POST /vp HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        connection.send(head.as_bytes()).unwrap();
        connection.send(&b"<a>"[..]).unwrap();
    };
    // One takes the only place and holds it.
    let mut holds = World::caller("1177").connect(world.https).unwrap();
    half(&mut holds, 1000);
    wait_figure(&world, "klagomal_calls_in_flight", 1.0);
    let large = 8 * 1024 * 1024;
    for (who, code) in [("1177", "VP012"), ("no-hsa-id", "VP002")] {
        let mut connection = World::caller(who).connect(world.https).unwrap();
        let start = Instant::now();
        half(&mut connection, large);
        // It goes on sending for a while, as one does who has not looked for an answer yet.
        let mut sent = 3;
        while sent < large {
            let part = vec![b'x'; (large - sent).min(256 * 1024)];
            connection.send(&part).unwrap_or_else(|error| panic!("{who} after {sent}: {error}"));
            sent += part.len();
        }
        let answer = connection.answer().unwrap_or_else(|error| panic!("{who}: {error}"));
        assert!(answer.outcome().contains(code), "{}", answer.text());
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        // And one who waits for the answer in the middle gets it there.
        let mut connection = World::caller(who).connect(world.https).unwrap();
        half(&mut connection, large);
        let start = Instant::now();
        assert!(connection.answer().unwrap().outcome().contains(code));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
    let full = "klagomal_refused_total{limit=\"calls_in_flight\"}";
    wait_figure(&world, full, 2.0);
    let door = world.json("/status")["doors"]["proxied"].as_str().unwrap().to_owned();
    assert!(world.log().contains(&format!("proxied {door}")));
}
