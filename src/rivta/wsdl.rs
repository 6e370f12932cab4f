//! Answers `?wsdl` and `?xsd=`: the schemas are in the program, and point back to where they were asked for.

/// `(path, text)` of a file in `schemas/`.
macro_rules! file {
    ($path:literal) => {
        ($path, include_str!(concat!("../../schemas/", $path)))
    };
}

/// Every file of `schemas/` that a served contract reaches, by its path in that folder.
static FILES: [(&str, &str); 14] = [
    file!("core_components/itintegration_monitoring_1.0.xsd"),
    file!("core_components/itintegration_registry_1.0.xsd"),
    file!("core_components/itintegration_registry_2.0.xsd"),
    file!("core_components/supportprocess_patientsafety_complaint_1.0.xsd"),
    file!(
        "interactions/ProcessComplaintInteraction/ProcessComplaintInteraction_1.0_RIVTABP21.wsdl"
    ),
    file!("interactions/ProcessComplaintInteraction/ProcessComplaintResponder_1.0.xsd"),
    file!(
        "interactions/ProcessComplaintHandlingInteraction/ProcessComplaintHandlingInteraction_1.0_RIVTABP21.wsdl"
    ),
    file!(
        "interactions/ProcessComplaintHandlingInteraction/ProcessComplaintHandlingResponder_1.0.xsd"
    ),
    file!(
        "interactions/PingForConfigurationInteraction/PingForConfigurationInteraction_1.0_RIVTABP21.wsdl"
    ),
    file!("interactions/PingForConfigurationInteraction/PingForConfigurationResponder_1.0.xsd"),
    file!(
        "interactions/GetSupportedServiceContractsInteraction/GetSupportedServiceContractsInteraction_2.0_RIVTABP21.wsdl"
    ),
    file!(
        "interactions/GetSupportedServiceContractsInteraction/GetSupportedServiceContractsResponder_2.0.xsd"
    ),
    file!(
        "interactions/GetLogicalAddresseesByServiceContractInteraction/GetLogicalAddresseesByServiceContractInteraction_2.0_RIVTABP21.wsdl"
    ),
    file!(
        "interactions/GetLogicalAddresseesByServiceContractInteraction/GetLogicalAddresseesByServiceContractResponder_2.0.xsd"
    ),
];

/// A contract whose description is served.
struct Served {
    /// The domain as in a URL: slashes for colons.
    domain: &'static str,
    interaction: &'static str,
    /// Major version, as in the URL.
    major: &'static str,
    /// Version of the WSDL file.
    version: &'static str,
}

const COMPLAINT: Served = Served {
    domain: "supportprocess/patientsafety/complaint",
    interaction: "ProcessComplaint",
    major: "1",
    version: "1.0",
};

const REGISTRY: Served = Served {
    domain: "infrastructure/itintegration/registry",
    interaction: "GetSupportedServiceContracts",
    major: "2",
    version: "2.0",
};

static SERVED: [Served; 5] = [
    COMPLAINT,
    Served { interaction: "ProcessComplaintHandling", ..COMPLAINT },
    Served {
        domain: "itintegration/monitoring",
        interaction: "PingForConfiguration",
        major: "1",
        version: "1.0",
    },
    REGISTRY,
    Served { interaction: "GetLogicalAddresseesByServiceContract", ..REGISTRY },
];

impl Served {
    fn short_path(&self) -> String {
        format!("/{}/{}/rivtabp21", self.interaction, self.major)
    }

    fn path(&self) -> String {
        format!("/vp/{}{}", self.domain, self.short_path())
    }

    fn folder(&self) -> String {
        format!("interactions/{}Interaction", self.interaction)
    }

    fn by_path(path: &str) -> Option<&'static Self> {
        let path = path.trim_end_matches('/');
        SERVED.iter().find(|served| {
            path.eq_ignore_ascii_case(&served.path())
                || path.eq_ignore_ascii_case(&served.short_path())
        })
    }
}

/// The paths whose `?wsdl` is answered, in their long form
/// (`/vp/<domain>/<Interaction>/<major>/rivtabp21`).
#[must_use]
pub fn paths() -> Vec<String> {
    SERVED.iter().map(Served::path).collect()
}

/// The WSDL of the contract that `path` names, long or short (`/<Interaction>/<major>/rivtabp21`),
/// without regard to case. `None` where no served contract has that path.
///
/// `base_url` is scheme and host as the caller sees them (behind a proxy, the proxy's): the service
/// address is `base_url` + `path`, and every schema is to be had there with `?xsd=`.
#[must_use]
pub fn wsdl(path: &str, base_url: &str) -> Option<String> {
    let served = Served::by_path(path)?;
    let file = format!(
        "{}/{}Interaction_{}_RIVTABP21.wsdl",
        served.folder(),
        served.interaction,
        served.version
    );
    let url = own_url(path, base_url);
    let text = pointing_home(&file, text_of(&file)?, served, &url)?;
    replace_values(&text, " location=\"", |_| Some(escaped(&url)))
}

/// The schema at `location` (the value of `?xsd=`, percent-encoded or not), as the WSDL of `path`
/// or a schema reached from it names it: relative to the interaction's folder. `None` where the path
/// is not served or nothing the contract uses lies there.
#[must_use]
pub fn xsd(path: &str, location: &str, base_url: &str) -> Option<String> {
    let served = Served::by_path(path)?;
    let file = resolved(&served.folder(), &percent_decoded(location)?)?;
    let of_served = file.starts_with("core_components/")
        || file.strip_prefix(&served.folder()).is_some_and(|rest| rest.starts_with('/'));
    if !of_served || !file.ends_with(".xsd") {
        return None;
    }
    pointing_home(&file, text_of(&file)?, served, &own_url(path, base_url))
}

fn text_of(file: &str) -> Option<&'static str> {
    FILES.iter().find(|(path, _)| *path == file).map(|(_, text)| *text)
}

fn own_url(path: &str, base_url: &str) -> String {
    format!("{}{}", base_url.trim_end_matches('/'), path.trim_end_matches('/'))
}

/// `text` (of `file`) with every `schemaLocation` turned into `url?xsd=<place>`, the place written
/// relative to the interaction's folder so that one URL serves the whole closure.
fn pointing_home(file: &str, text: &str, served: &Served, url: &str) -> Option<String> {
    let (folder, _) = file.rsplit_once('/')?;
    replace_values(text, " schemaLocation=\"", |location| {
        let target = resolved(folder, location)?;
        let place = match target.strip_prefix(&format!("{}/", served.folder())) {
            Some(beside) => beside.to_owned(),
            None => format!("../../{target}"),
        };
        Some(escaped(&format!("{url}?xsd={place}")))
    })
}

/// Replaces what stands between each `opening` and the next quote. Only for our own files, whose
/// attributes are known to be written with double quotes.
fn replace_values(
    text: &str,
    opening: &str,
    value: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 512);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(opening) {
        let (old, behind) = after.split_once('"')?;
        out.push_str(before);
        out.push_str(opening);
        out.push_str(&value(old)?);
        out.push('"');
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}

/// `location` seen from `folder`, without `.` and `..`. `None` where it leads out of the package.
fn resolved(folder: &str, location: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in location.split('/') {
        match part {
            "" => return None,
            "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// As the value of an XML attribute in double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const BASE: &str = "https://gateway.example.se:8443";

    fn schema_locations(text: &str) -> Vec<String> {
        text.split(" schemaLocation=\"")
            .skip(1)
            .map(|after| after.split('"').next().unwrap().replace("&amp;", "&"))
            .collect()
    }

    fn namespace(schema: &str) -> String {
        schema.split("targetNamespace=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    /// Follows every schema location from the WSDL on, as a client does.
    fn closure(path: &str) -> BTreeMap<String, String> {
        let own = format!("{BASE}{path}?xsd=");
        let mut read = BTreeMap::new();
        let mut waiting = schema_locations(&wsdl(path, BASE).unwrap());
        while let Some(url) = waiting.pop() {
            let location =
                url.strip_prefix(&own).unwrap_or_else(|| panic!("{url} leads elsewhere"));
            let text = xsd(path, location, BASE).unwrap_or_else(|| panic!("{url} is not served"));
            if read.insert(location.to_owned(), text.clone()).is_none() {
                waiting.extend(schema_locations(&text));
            }
        }
        read
    }

    #[test]
    fn the_wsdl_says_the_address_that_it_was_asked_for_at() {
        for path in paths() {
            let text = wsdl(&path, BASE).unwrap();
            assert!(text.contains(&format!("<soap:address location=\"{BASE}{path}\"/>")), "{path}");
            assert!(!text.contains("tempuri"), "{path}");
        }
        let short = wsdl("/ProcessComplaint/1/rivtabp21", "https://other.example.se/").unwrap();
        assert!(
            short.contains("location=\"https://other.example.se/ProcessComplaint/1/rivtabp21\"")
        );
    }

    #[test]
    fn every_schema_is_reached_by_following_the_locations_and_none_is_left_over() {
        let mut served = BTreeSet::new();
        for path in paths() {
            let read = closure(&path);
            // The registry's own contracts have their header where they have their types.
            let expected = if path.contains("/registry/") { 2 } else { 3 };
            assert_eq!(read.len(), expected, "{path}: responder, core, header: {:?}", read.keys());
            for (location, text) in read {
                assert!(text.contains("<xs:schema"), "{location}");
                served.insert(namespace(&text));
            }
        }
        let schemas: BTreeSet<String> = FILES
            .iter()
            .filter(|(path, _)| path.ends_with(".xsd"))
            .map(|(_, text)| namespace(text))
            .collect();
        assert_eq!(served, schemas);
    }

    #[test]
    fn a_path_is_known_without_regard_to_case_and_only_with_its_own_domain_and_version() {
        for good in [
            "/vp/supportprocess/patientsafety/complaint/ProcessComplaint/1/rivtabp21",
            "/VP/SupportProcess/PatientSafety/Complaint/processcomplaint/1/RIVTABP21",
            "/processcomplainthandling/1/rivtabp21",
            "/ProcessComplaint/1/rivtabp21/",
        ] {
            assert!(wsdl(good, BASE).is_some(), "{good}");
        }
        for bad in [
            "/vp/crm/scheduling/ProcessComplaint/1/rivtabp21",
            "/ProcessComplaint/2/rivtabp21",
            "/ProcessComplaint/1/rivtabp20",
            "/vp/ProcessComplaint/1/rivtabp21",
            "/AddMessageToPatientPortalInbox/1/rivtabp21",
            "",
            "/",
        ] {
            assert!(wsdl(bad, BASE).is_none(), "{bad}");
            assert!(
                xsd(bad, "../../core_components/itintegration_registry_1.0.xsd", BASE).is_none()
            );
        }
    }

    #[test]
    fn a_location_may_be_percent_encoded() {
        let path = "/ProcessComplaint/1/rivtabp21";
        let plain = xsd(path, "../../core_components/itintegration_registry_1.0.xsd", BASE);
        assert!(plain.is_some());
        let encoded = "..%2F..%2fcore_components%2Fitintegration_registry_1.0.xsd";
        assert_eq!(xsd(path, encoded, BASE), plain);
    }

    #[test]
    fn nothing_but_the_contracts_own_schemas_is_given_out() {
        let path = "/ProcessComplaint/1/rivtabp21";
        for location in [
            "",
            "..",
            "%",
            "%zz",
            "%ff",
            "/etc/passwd",
            "../../../../../etc/passwd",
            "../../core_components/nothing.xsd",
            "ProcessComplaintInteraction_1.0_RIVTABP21.wsdl",
            "../ProcessComplaintHandlingInteraction/ProcessComplaintHandlingResponder_1.0.xsd",
        ] {
            assert!(xsd(path, location, BASE).is_none(), "{location}");
        }
        assert!(xsd(path, "./ProcessComplaintResponder_1.0.xsd", BASE).is_some());
    }

    #[test]
    fn what_xml_gives_a_meaning_is_escaped_in_urls() {
        let base = "https://gateway.example.se/a?b=1&c=\"<";
        let text = wsdl("/ProcessComplaint/1/rivtabp21", base).unwrap();
        assert!(text.contains(
            "location=\"https://gateway.example.se/a?b=1&amp;c=&quot;&lt;/ProcessComplaint/1/rivtabp21\""
        ));
        assert!(!text.contains(base));
    }

    #[test]
    fn the_wsdl_follows_the_naming_rules_of_basic_profile_2_1() {
        for served in &SERVED {
            let text = wsdl(&served.path(), BASE).unwrap();
            let x = served.interaction;
            let m = served.major;
            let own = served.domain.starts_with("supportprocess");
            let root = if own { "urn:klagomal" } else { "urn:riv" };
            let domain = format!("{root}:{}", served.domain.replace('/', ":"));
            for expected in [
                format!("<wsdl:definitions name=\"{x}Interaction\""),
                format!("targetNamespace=\"{domain}:{x}:{m}:rivtabp21\""),
                format!("soapAction=\"{domain}:{x}Responder:{m}:{x}\""),
                format!(
                    "<soap:header use=\"literal\" message=\"tns:{x}Request\" part=\"LogicalAddress\"/>"
                ),
                format!(
                    "<wsdl:port name=\"{x}ResponderPort\" binding=\"tns:{x}ResponderBinding\">"
                ),
            ] {
                assert!(text.contains(&expected), "{x}: {expected}");
            }
        }
    }
}
