//! Checklist 9.1 and 9.4, routing and the libraries: what of it a caller can see.
//!
//! | The platform's test | Shown by |
//! |---|---|
//! | `FullServiceDefaultVagvalIT` (4) | `an_address_of_two_parts_goes_to_the_last_that_has_a_route` |
//! | `FullServiceStandardVagvalIT` (5) | `the_star_row_serves_where_no_row_of_ones_own_does`, `the_organisation_above_goes_before_the_star_in_routing` |
//! | trace strings of both | deviates: no header has them; `klagomal tak explain` tells each step |
//! | `VagvalProcessorTest`, `BehorighetProcessorTest` | here, `each_code_has_its_faultcode_its_detail_and_one_log_line`, and `tak::tests` |
//! | `RivTaProfilProcessorTest` (12) | `a_call_is_rewritten_to_its_producers_profile_wherever_the_namespace_is_declared`; VP001 and VP005 deviate: no call and no route can have another profile |
//! | `sslcontext/*Test` (66) | deviates: a system has its own identity, key and trust (`each_system_is_called_with_its_own_identity_and_trust`); there are no lists of suites |
//! | `timeout/*Test` (3) | `what_a_producer_does_instead_of_answering_is_told_in_the_detail`; deviates: the time is the system's, 29 s unless said |
//! | `wsdl/*Test` (9) | `a_wsdl_and_its_schemas_are_served_at_both_doors`, `a_wsdl_names_the_address_that_the_proxy_was_called_by_and_is_for_known_callers`; deviates: known callers only |
//! | `logging/*Test`, LEGACY style | not of the wire |
//! | `NettyHttpClientExpectContinueTest`, `…UnexpectedContinueTest` | `a_caller_that_waits_for_100_continue_is_told_to_go_on`, `an_unasked_100_continue_is_passed_over` |
//! | takcache (44), takdatahandler (52) | `tak::tests`, `routing::live`; of Java libraries otherwise |
//! | hsa-cache (36) | `tak::hierarchy`, `routing::tree`; of a Java library otherwise |
//! | tak (97) | `tak::import`; of the TAK's own pages otherwise |

use super::ground::{by_tls, fault, good, message, message_20, permission, route, route_to, start};
use crate::support::{Peer, World};

fn url(peer: &Peer) -> String {
    format!("http://localhost:{}/", peer.address.port())
}

#[test]
fn an_address_of_two_parts_goes_to_the_last_that_has_a_route() {
    let (one, two) = (Peer::plain(good), Peer::plain(good));
    let rows = route_to("SE-ONE", &url(&one)) + &route_to("SE-TWO", &url(&two));
    let world = start(&(rows + &permission("SE-ONE") + &permission("SE-TWO")));
    let call = |address: &str| by_tls(&world, "", message(address, "").as_bytes());
    assert_eq!(call("SE-ONE#SE-TWO").status, 200);
    assert_eq!((one.count(), two.count()), (0, 1));
    assert_eq!(two.calls()[0].text(), message("SE-ONE#SE-TWO", ""), "the address stays whole");
    assert_eq!(call("SE-ONE#SE-UNKNOWN").status, 200);
    assert_eq!(call("SE-TWO#SE-ONE").status, 200);
    assert_eq!((one.count(), two.count()), (2, 1));
    let told = fault(&call("SE-ONE#SE-TWO#SE-UNKNOWN"));
    assert!(told.string.starts_with("VP007 "), "{told:?}");
    let told = fault(&call("SE-UNKNOWN#SE-ELSEWHERE"));
    assert!(told.string.starts_with("VP004 "), "{told:?}");
    assert_eq!((one.count(), two.count()), (2, 1));
}

#[test]
fn the_star_row_serves_where_no_row_of_ones_own_does() {
    let (star, own) = (Peer::plain(good), Peer::plain(good));
    let rows = route_to("*", &url(&star)) + &route_to("SE-OWN", &url(&own));
    let everybody = start(&(rows.clone() + &permission("*")));
    let call = |world: &World, address: &str| by_tls(world, "", message(address, "").as_bytes());
    assert_eq!(call(&everybody, "SE-ANY").status, 200);
    assert_eq!((star.count(), own.count()), (1, 0));
    assert_eq!(call(&everybody, "SE-OWN").status, 200);
    // Ids are the same in either case of letters.
    assert_eq!(call(&everybody, "se-own").status, 200);
    assert_eq!((star.count(), own.count()), (1, 2));

    let one = start(&(rows + &permission("SE-ANY")));
    assert_eq!(call(&one, "SE-ANY").status, 200, "permission by itself, route by the star");
    let told = fault(&call(&one, "SE-OTHER"));
    assert!(told.string.starts_with("VP007 "), "{told:?}");
    assert_eq!((star.count(), own.count()), (2, 2));
}

#[test]
fn the_organisation_above_goes_before_the_star_in_routing() {
    let (star, above) = (Peer::plain(good), Peer::plain(good));
    let rows = route_to("*", &url(&star)) + &route_to("SE0000000000-R", &url(&above));
    let rows = rows + &permission("*") + "[hierarchy]\nfiles = [\"hsa/units.xml\"]\n";
    let mut world = World::plan().routing(&rows).write();
    let hsa = world.dir.join("tak-config/hsa");
    std::fs::create_dir(&hsa).unwrap();
    let unit = |id: &str, dn: &str| {
        format!("<hsaUnit><hsaIdentity>{id}</hsaIdentity><DN>{dn}</DN></hsaUnit>")
    };
    let units = unit("SE0000000000-R", "o=R,c=SE") + &unit("SE0000000000-LEAF", "ou=L,o=R,c=SE");
    let text = format!(
        "<HsaUnitsResponse><endDate>2026-05-01</endDate><hsaUnits>{units}</hsaUnits>\
         </HsaUnitsResponse>"
    );
    std::fs::write(hsa.join("units.xml"), text).unwrap();
    world.start();
    let call = |address: &str| by_tls(&world, "", message(address, "").as_bytes());
    assert_eq!(call("SE0000000000-LEAF").status, 200);
    assert_eq!((star.count(), above.count()), (0, 1));
    assert_eq!(call("SE0000000000-ELSEWHERE").status, 200);
    assert_eq!((star.count(), above.count()), (1, 1));
}

#[test]
fn a_call_is_rewritten_to_its_producers_profile_wherever_the_namespace_is_declared() {
    let producer = Peer::plain(good);
    let to = |profile: &str| format!("address = \"{}\"\nprofile = \"{profile}\"", url(&producer));
    let rows = route("SE-NEW", &to("rivtabp21")) + &route("SE-OLD", &to("rivtabp20"));
    let world = start(&(rows + &permission("*")));
    let moved = |text: &str, to: &str| {
        let at = text.find(" xmlns:a=").unwrap();
        let end = at + text[at..].find('>').unwrap();
        let declared = text[at..end].to_owned();
        text.replacen(&declared, "", 1).replacen(to, &format!("{to}{declared}"), 1)
    };
    for (sent, wanted) in [
        (message("SE-OLD", "å"), message_20("SE-OLD", "å")),
        (message_20("SE-NEW", "å"), message("SE-NEW", "å")),
        (message("SE-NEW", "å"), message("SE-NEW", "å")),
        (message_20("SE-OLD", "å"), message_20("SE-OLD", "å")),
    ] {
        for place in ["<s:Envelope", "<s:Header", "<a:"] {
            let at = |text: &str| match place {
                "<a:" if text.contains("<a:To") => moved(text, "<a:To"),
                "<a:" => moved(text, "<a:LogicalAddress"),
                place => moved(text, place),
            };
            let seen = by_tls(&world, "", at(&sent).as_bytes());
            assert_eq!(seen.status, 200, "{}", seen.text());
            let got = producer.calls().pop().unwrap();
            assert_eq!(got.text(), at(&wanted), "{place}");
            let length = got.body.len().to_string();
            assert_eq!(got.header("content-length"), Some(length.as_str()));
        }
    }
}
