//! What the checklist's tests stand on: one contract, its routes and messages, callers at both doors.

use crate::proxied;
use crate::support::{Act, Answer, Call, Node, Peer, World, certs};

/// A contract that the gateway knows from its routing only.
pub const CONTRACT: &str = "urn:riv:test:wire:GetThingResponder:1";

const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const REGISTRY: &str = "urn:riv:itintegration:registry:1";
const ADDRESSING: &str = "http://www.w3.org/2005/08/addressing";

/// A route in the routing folder. `to` is `address = "…"` or `system = "…"`, and more.
pub fn route(address: &str, to: &str) -> String {
    format!("[[route]]\ncontract = \"{CONTRACT}\"\nlogical_address = \"{address}\"\n{to}\n")
}

/// A route of the profile that everybody speaks, to a URL.
pub fn route_to(address: &str, url: &str) -> String {
    route(address, &format!("address = \"{url}\""))
}

/// The region, who calls in these tests, may call the address.
pub fn permission(address: &str) -> String {
    format!(
        "[[permission]]\nconsumer = \"SE0000000000-REGION\"\ncontract = \"{CONTRACT}\"\n\
         logical_address = \"{address}\"\n"
    )
}

/// A message in rivtabp21.
pub fn message(address: &str, content: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<s:Envelope xmlns:s=\"{ENVELOPE}\" \
         xmlns:a=\"{REGISTRY}\"><s:Header><a:LogicalAddress>{address}</a:LogicalAddress></s:Header>\
         <s:Body><t:GetThing xmlns:t=\"{CONTRACT}\">{content}</t:GetThing></s:Body></s:Envelope>"
    )
}

/// The same in rivtabp20.
pub fn message_20(address: &str, content: &str) -> String {
    message(address, content).replace(REGISTRY, ADDRESSING).replace("a:LogicalAddress", "a:To")
}

/// A good answer.
pub fn envelope(content: &str) -> String {
    format!("<s:Envelope xmlns:s=\"{ENVELOPE}\"><s:Body>{content}</s:Body></s:Envelope>")
}

pub fn good(_: &Call) -> Act {
    Act::Answer(200, envelope("<a>Åäö</a>"))
}

/// An answer, whole and as it is.
pub fn bytes(status: &str, headers: &str, body: &[u8]) -> Act {
    let length = body.len();
    let mut all = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n");
    let mut bytes = std::mem::take(&mut all).into_bytes();
    bytes.extend_from_slice(body);
    Act::Bytes { bytes, keep: true }
}

/// A producer over mutual TLS, and one in the clear.
pub fn producers(
    act: impl Fn(&Call) -> Act + Send + Sync + Clone + 'static,
) -> [(Peer, String); 2] {
    let (plain, tls) = (Peer::plain(act.clone()), Peer::start(certs(), "region", act));
    let urls = [
        format!("http://localhost:{}/thing", plain.address.port()),
        format!("https://localhost:{}/thing", tls.address.port()),
    ];
    let [one, two] = urls;
    [(plain, one), (tls, two)]
}

/// A gateway with both doors open and these rows.
pub fn start(rows: &str) -> World {
    World::plan()
        .routing(rows)
        .set("server", "proxied = \"127.0.0.1:0\"")
        .set("proxied", "sources = [\"127.0.0.1\"]")
        .start()
}

/// The region calls over TLS.
pub fn by_tls(world: &World, headers: &str, body: &[u8]) -> Answer {
    World::caller("region").connect(world.https).unwrap().post_with(headers, body).unwrap()
}

/// The region calls through the proxy.
pub fn by_proxy(world: &World, headers: &[(&str, &str)], body: &str) -> Answer {
    let certificate = proxied::certificate("region");
    let mut all = vec![("x-vp-auth-cert", certificate.as_str())];
    all.extend_from_slice(headers);
    inside(world, &all, body)
}

/// A call at the proxied door with these headers and no certificate.
pub fn inside(world: &World, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = proxied::connect(proxied::door(world));
    proxied::call(&mut stream, "POST /vp", headers, body)
}

/// A fault of the gateway's own.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: String,
    pub string: String,
    pub detail: String,
}

/// Reads a fault, which has the platform's form to the byte.
pub fn fault(answer: &Answer) -> Fault {
    let text = answer.text();
    assert_eq!(answer.status, 500, "{text}");
    assert_eq!(answer.header("content-type"), Some("text/xml; charset=UTF-8"));
    assert_eq!(answer.header("x-skltp-prt"), None, "only an answer of a producer has its time");
    let tree = answer.tree();
    let told = |name| tree.find(name).map(Node::all_text).unwrap_or_default();
    let (code, string, detail) = (told("faultcode"), told("faultstring"), told("detailString"));
    let begins = format!(
        "<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"{ENVELOPE}\"><SOAP-ENV:Header/><SOAP-ENV:Body>\
         <SOAP-ENV:Fault><faultcode>{code}</faultcode><faultstring>"
    );
    assert!(text.starts_with(&begins), "{text}");
    let ends = "</detailString></detail></SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>";
    assert!(text.ends_with(ends), "{text}");
    Fault { code, string, detail }
}
