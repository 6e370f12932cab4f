//! Contract packages that an operator drops into a folder: found, given out, read again, and kept inside.

use std::fs;
use std::path::Path;

use crate::support::{World, certs};

const PATH: &str = "/vp/example/madeup/GetThing/2/rivtabp21";

/// The made-up contract of `name`, as a package of RIV TA is laid out.
fn package(folder: &Path, name: &str) {
    let interaction = folder.join(format!("schemas/interactions/{name}Interaction"));
    let core = folder.join("schemas/core_components");
    fs::create_dir_all(&interaction).unwrap();
    fs::create_dir_all(&core).unwrap();
    let wsdl = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <wsdl:definitions xmlns:wsdl=\"http://schemas.xmlsoap.org/wsdl/\" \
         xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" \
         xmlns:soap=\"http://schemas.xmlsoap.org/wsdl/soap/\" name=\"{name}Interaction\" \
         targetNamespace=\"urn:riv:example:madeup:{name}:2:rivtabp21\"><wsdl:types><xs:schema>\
         <xs:import namespace=\"urn:riv:example:madeup:{name}Responder:2\" \
         schemaLocation=\"{name}Responder_2.0.xsd\"/></xs:schema></wsdl:types>\
         <wsdl:service name=\"s\"><wsdl:port name=\"p\" binding=\"b\">\
         <soap:address location=\"http://tempuri.org\"/></wsdl:port></wsdl:service>\
         </wsdl:definitions>"
    );
    fs::write(interaction.join(format!("{name}Interaction_2.0_RIVTABP21.wsdl")), wsdl).unwrap();
    let schema = |inner: &str| {
        format!("<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\">{inner}</xs:schema>")
    };
    let import = "<xs:import schemaLocation=\"../../core_components/madeup_2.0.xsd\"/>";
    fs::write(interaction.join(format!("{name}Responder_2.0.xsd")), schema(import)).unwrap();
    let include = "<xs:include schemaLocation=\"madeup_enum_2.0.xsd\"/>\
                   <xs:include schemaLocation=\"outside.xsd\"/>";
    fs::write(core.join("madeup_2.0.xsd"), schema(include)).unwrap();
    fs::write(core.join("madeup_enum_2.0.xsd"), schema("<!-- the innermost -->")).unwrap();
}

#[test]
fn a_package_in_the_folder_is_given_out_and_read_again_and_links_lead_nowhere() {
    let mut world = World::plan()
        .set("public", "wsdl_folder = \"wsdl\"")
        .set("server", "proxied = \"127.0.0.1:0\"")
        .write();
    let folder = world.dir.join("wsdl");
    package(&folder.join("one"), "GetThing");
    let secret = world.dir.join("secret.xsd");
    fs::write(&secret, "<secret/>").unwrap();
    let link = folder.join("one/schemas/core_components/outside.xsd");
    std::os::unix::fs::symlink(&secret, &link).unwrap();
    world.start();
    let get = |path: &str| World::caller("region").connect(world.https).unwrap().get(path).unwrap();

    let wsdl = get(&format!("{PATH}?wsdl"));
    assert_eq!((wsdl.status, wsdl.header("content-type")), (200, Some("text/xml; charset=UTF-8")));
    let text = wsdl.text();
    assert!(text.starts_with("<?xml"), "without its byte order mark: {text}");
    assert!(text.contains(&format!("location=\"https://localhost{PATH}\"")), "{text}");
    // Every schema is reached by following what the one before says.
    let mut at = text;
    for name in [
        "GetThingResponder_2.0.xsd",
        "../../core_components/madeup_2.0.xsd",
        "../../core_components/madeup_enum_2.0.xsd",
    ] {
        let url = format!("https://localhost{PATH}?xsd={name}");
        assert!(at.contains(&format!("schemaLocation=\"{url}\"")), "{name}: {at}");
        let answer = get(url.strip_prefix("https://localhost").unwrap());
        assert_eq!(answer.status, 200, "{name}");
        at = answer.text();
    }
    assert!(at.contains("the innermost"), "{at}");
    for outside in ["../../core_components/outside.xsd", "../../../../secret.xsd", "%2e%2e/x"] {
        let answer = get(&format!("{PATH}?xsd={outside}"));
        assert_eq!(answer.status, 404, "{outside}");
        assert!(!answer.text().contains("<secret/>"));
    }
    world.wait_log(0, "outside.xsd is no file of its own");
    let listing = get("/vp/nothing?wsdl").text();
    assert!(listing.contains(&format!("https://localhost{PATH}?wsdl")), "{listing}");
    assert!(listing.contains("/ProcessComplaint/1/rivtabp21?wsdl"), "{listing}");

    // Behind a listed proxy the address is the one that the proxy was called by.
    let door = world.json("/status")["doors"]["proxied"].as_str().unwrap().to_owned();
    let pem = fs::read_to_string(certs().join("region.crt")).unwrap();
    let first = pem.split("-----END").next().unwrap();
    let leaf: String = first.lines().filter(|line| !line.contains("BEGIN")).collect();
    let told = crate::proxied::get(
        door.parse().unwrap(),
        &format!("{PATH}?wsdl"),
        &[
            ("x-vp-auth-cert", leaf.as_str()),
            ("X-VP-Forwarded-Proto", "https"),
            ("X-VP-Forwarded-Host", "rtp.example.se"),
            ("X-VP-Forwarded-Port", "20000"),
        ],
    );
    let expected = format!("location=\"https://rtp.example.se:20000{PATH}\"");
    assert!(told.text().contains(&expected), "{}", told.text());

    // A second package comes with a reload; a folder that cannot be read changes nothing.
    package(&folder.join("two"), "PutThing");
    let put = "/vp/example/madeup/PutThing/2/rivtabp21?wsdl";
    assert_eq!(get(put).status, 404);
    assert!(world.command(&["gateway", "reload"]).0);
    assert_eq!(get(put).status, 200);
    fs::rename(&folder, world.dir.join("away")).unwrap();
    let (_, said) = world.command(&["gateway", "reload"]);
    assert!(said.contains("wsdl_folder: the old one goes on"), "{said}");
    assert_eq!(get(put).status, 200);
}
