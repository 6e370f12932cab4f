//! Answers `?wsdl` and `?xsd=`: of our own contracts, and of packages that an operator has put in a folder.
//!
//! Every file points back to where it was asked for: one URL serves a WSDL and all schemas that are
//! reached from it, each named as seen from the WSDL.

mod rewrite;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::limits;
use crate::xml::{Document, XmlError};
use rewrite::{Points, folder, pointing, relative, resolved};

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

    fn file(&self) -> String {
        format!(
            "interactions/{0}Interaction/{0}Interaction_{1}_RIVTABP21.wsdl",
            self.interaction, self.version
        )
    }
}

/// The contracts that are described, and the files that describe them.
#[derive(Debug, Clone)]
pub struct Library {
    /// By their place in a package.
    files: BTreeMap<String, Cow<'static, str>>,
    /// Our own first.
    contracts: Vec<Described>,
}

/// One contract.
#[derive(Debug, Clone)]
struct Described {
    /// `/vp/<domain>/<Interaction>/<major>/<profile>`.
    path: String,
    /// The same without `vp` and domain, for our own.
    short: Option<String>,
    /// Its WSDL.
    file: String,
    /// Every schema that is reached from it.
    schemas: BTreeSet<String>,
}

impl Library {
    /// The contracts that are served here.
    #[must_use]
    pub fn own() -> Self {
        let files = FILES.iter().map(|(path, text)| ((*path).to_owned(), Cow::Borrowed(*text)));
        let mut library = Self { files: files.collect(), contracts: Vec::new() };
        for served in &SERVED {
            let file = served.file();
            let (schemas, _) = library.reached(&file);
            library.contracts.push(Described {
                path: served.path(),
                short: Some(served.short_path()),
                file,
                schemas,
            });
        }
        library
    }

    /// The same with every WSDL among `files`, which are named by their place below one folder. A
    /// contract that is known already stays as it is. Also tells what is left out, and why.
    #[must_use]
    pub fn with(mut self, files: BTreeMap<String, Vec<u8>>) -> (Self, Vec<String>) {
        let mut told = Vec::new();
        let mut wsdls = Vec::new();
        for (name, bytes) in files {
            let place = format!("{DROPPED}/{name}");
            match readable(bytes) {
                Ok(text) => {
                    if has_end(&name, ".wsdl") {
                        wsdls.push((name, place.clone()));
                    }
                    self.files.insert(place, Cow::Owned(text));
                }
                Err(why) => told.push(format!("{name} is not given out: {why}")),
            }
        }
        for (name, file) in wsdls {
            let Some(path) = self.files.get(&file).and_then(|text| path_of(text)) else {
                told.push(format!(
                    "{name} is not given out: its targetNamespace is no RIV TA interaction \
                         (urn:riv:<domain>:<Interaction>:<version>:rivtabp21)"
                ));
                continue;
            };
            if let Some(known) = self.by_path(&path) {
                told.push(format!("{name} is not given out: {} has {path} already", known.file));
                continue;
            }
            let (schemas, missing) = self.reached(&file);
            told.extend(
                missing.into_iter().map(|it| format!("{name} needs {it}: it is not there")),
            );
            self.contracts.push(Described { path, short: None, file, schemas });
        }
        (self, told)
    }

    /// The paths whose `?wsdl` is answered, in their long form
    /// (`/vp/<domain>/<Interaction>/<major>/<profile>`).
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.contracts.iter().map(|it| it.path.as_str())
    }

    /// The WSDL of the contract that `path` names, long or, for our own, short
    /// (`/<Interaction>/<major>/rivtabp21`), without regard to case. `None` where no contract has
    /// that path.
    ///
    /// `base_url` is scheme and host as the caller sees them (behind a proxy, the proxy's): the
    /// service address is `base_url` + `path`, and every schema is to be had there with `?xsd=`.
    #[must_use]
    pub fn wsdl(&self, path: &str, base_url: &str) -> Option<String> {
        let described = self.by_path(path)?;
        self.pointing_home(described, &described.file, &own_url(path, base_url))
    }

    /// The schema at `location` (the value of `?xsd=`, percent-encoded or not), as the WSDL of
    /// `path` or a schema reached from it names it: as seen from the WSDL. `None` where the path is
    /// not known or nothing that the contract uses lies there.
    #[must_use]
    pub fn xsd(&self, path: &str, location: &str, base_url: &str) -> Option<String> {
        let described = self.by_path(path)?;
        let file = resolved(folder(&described.file), &percent_decoded(location)?)?;
        let file = described.schemas.get(&file)?;
        self.pointing_home(described, file, &own_url(path, base_url))
    }

    fn by_path(&self, path: &str) -> Option<&Described> {
        let path = path.trim_end_matches('/');
        self.contracts.iter().find(|it| {
            path.eq_ignore_ascii_case(&it.path)
                || it.short.as_ref().is_some_and(|it| path.eq_ignore_ascii_case(it))
        })
    }

    /// `file` with every place of a schema turned into `url?xsd=<place>`.
    fn pointing_home(&self, of: &Described, file: &str, url: &str) -> Option<String> {
        let other = |points: Points<'_>| match points {
            Points::Service => Some(url.to_owned()),
            Points::Schema(location) => {
                let target = resolved(folder(file), location)?;
                of.schemas
                    .contains(&target)
                    .then(|| format!("{url}?xsd={}", relative(folder(&of.file), &target)))
            }
        };
        pointing(self.files.get(file)?, other).ok()
    }

    /// Every schema that is reached from `file`, and the places named in them where none is.
    fn reached(&self, file: &str) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut reached, mut missing) = (BTreeSet::new(), BTreeSet::new());
        let mut waiting = vec![file.to_owned()];
        while let Some(file) = waiting.pop() {
            let text = self.files.get(&file).map(Cow::as_ref).unwrap_or_default();
            for location in schema_locations(text).unwrap_or_default() {
                // An address on the net stays as it is.
                let Some(target) = resolved(folder(&file), &location) else { continue };
                if !self.files.contains_key(&target) {
                    missing.insert(location);
                } else if reached.insert(target.clone()) {
                    waiting.push(target);
                }
            }
        }
        (reached, missing)
    }
}

/// The folder of what an operator dropped, beside our own files.
const DROPPED: &str = "dropped";

/// The text of a file that can be given out.
fn readable(bytes: Vec<u8>) -> Result<String, String> {
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    // A byte order mark, or what editors left before the declaration.
    let begins = text.find('<').filter(|at| *at <= limits::WSDL_BEFORE_BYTES_MAX).unwrap_or(0);
    let text = text.get(begins..).unwrap_or_default().to_owned();
    Document::parse(&text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// Whether a file name has this end, in any case.
#[must_use]
pub fn has_end(name: &str, end: &str) -> bool {
    let at = name.len().checked_sub(end.len());
    at.and_then(|at| name.get(at..)).is_some_and(|it| it.eq_ignore_ascii_case(end))
}

/// The path of the interaction that a WSDL describes, from its namespace
/// `urn:riv:<domain>:<Interaction>:<version>:<profile>`.
fn path_of(wsdl: &str) -> Option<String> {
    let document = Document::parse(wsdl).ok()?;
    let namespace = document.root().attribute(None, "targetNamespace")?;
    let mut parts = namespace.split(':');
    let urn = parts.next()?.eq_ignore_ascii_case("urn") && parts.next().is_some();
    let parts: Vec<&str> = parts.collect();
    let profile = parts.last()?.to_ascii_lowercase();
    let plain = |it: &&str| {
        !it.is_empty() && it.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let whole = urn && profile.starts_with("rivtabp") && parts.len() >= 4;
    (whole && parts.iter().all(plain)).then(|| format!("/vp/{}", parts.join("/")))
}

fn schema_locations(text: &str) -> Result<Vec<String>, XmlError> {
    let found = std::cell::RefCell::new(Vec::new());
    pointing(text, |points| {
        if let Points::Schema(location) = points {
            found.borrow_mut().push(location.to_owned());
        }
        None
    })?;
    Ok(found.into_inner())
}

fn own_url(path: &str, base_url: &str) -> String {
    format!("{}{}", base_url.trim_end_matches('/'), path.trim_end_matches('/'))
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn built_in() -> Library {
        Library::own()
    }

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
        let mut waiting = schema_locations(&built_in().wsdl(path, BASE).unwrap());
        while let Some(url) = waiting.pop() {
            let location =
                url.strip_prefix(&own).unwrap_or_else(|| panic!("{url} leads elsewhere"));
            let text = built_in()
                .xsd(path, location, BASE)
                .unwrap_or_else(|| panic!("{url} is not served"));
            if read.insert(location.to_owned(), text.clone()).is_none() {
                waiting.extend(schema_locations(&text));
            }
        }
        read
    }

    #[test]
    fn the_wsdl_says_the_address_that_it_was_asked_for_at() {
        for path in built_in().paths() {
            let text = built_in().wsdl(path, BASE).unwrap();
            assert!(text.contains(&format!("<soap:address location=\"{BASE}{path}\"/>")), "{path}");
            assert!(!text.contains("tempuri"), "{path}");
        }
        let short =
            built_in().wsdl("/ProcessComplaint/1/rivtabp21", "https://other.example.se/").unwrap();
        assert!(
            short.contains("location=\"https://other.example.se/ProcessComplaint/1/rivtabp21\"")
        );
    }

    #[test]
    fn every_schema_is_reached_by_following_the_locations_and_none_is_left_over() {
        let mut served = BTreeSet::new();
        for path in built_in().paths() {
            let read = closure(path);
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
            assert!(built_in().wsdl(good, BASE).is_some(), "{good}");
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
            assert!(built_in().wsdl(bad, BASE).is_none(), "{bad}");
            assert!(
                built_in()
                    .xsd(bad, "../../core_components/itintegration_registry_1.0.xsd", BASE)
                    .is_none()
            );
        }
    }

    #[test]
    fn a_location_may_be_percent_encoded() {
        let path = "/ProcessComplaint/1/rivtabp21";
        let plain =
            built_in().xsd(path, "../../core_components/itintegration_registry_1.0.xsd", BASE);
        assert!(plain.is_some());
        let encoded = "..%2F..%2fcore_components%2Fitintegration_registry_1.0.xsd";
        assert_eq!(built_in().xsd(path, encoded, BASE), plain);
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
            assert!(built_in().xsd(path, location, BASE).is_none(), "{location}");
        }
        assert!(built_in().xsd(path, "./ProcessComplaintResponder_1.0.xsd", BASE).is_some());
    }

    #[test]
    fn what_xml_gives_a_meaning_is_escaped_in_urls() {
        let base = "https://gateway.example.se/a?b=1&c=\"<";
        let text = built_in().wsdl("/ProcessComplaint/1/rivtabp21", base).unwrap();
        assert!(text.contains(
            "location=\"https://gateway.example.se/a?b=1&amp;c=&quot;&lt;/ProcessComplaint/1/rivtabp21\""
        ));
        assert!(!text.contains(base));
    }

    #[test]
    fn the_wsdl_follows_the_naming_rules_of_basic_profile_2_1() {
        for served in &SERVED {
            let text = built_in().wsdl(&served.path(), BASE).unwrap();
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

    /// A made-up contract, as a package of RIV TA is laid out.
    fn package() -> BTreeMap<String, Vec<u8>> {
        let wsdl = "\u{feff}<?xml version=\"1.0\"?>\n<w:definitions xmlns:w='http://schemas.xmlsoap.org/wsdl/' \
            xmlns:x='http://www.w3.org/2001/XMLSchema' xmlns:s='http://schemas.xmlsoap.org/wsdl/soap/' \
            targetNamespace='urn:riv:example:madeup:GetThing:2:rivtabp21'><w:types><x:schema>\
            <x:import namespace='a' schemaLocation='GetThingResponder_2.0.xsd'/>\
            <x:import namespace='z' schemaLocation='http://www.example.org/z.xsd'/></x:schema></w:types>\
            <w:service name='s'><w:port name='p' binding='b'><s:address location='http://old'/></w:port>\
            </w:service></w:definitions>";
        let schema = |inner: &str| {
            format!("<x:schema xmlns:x='http://www.w3.org/2001/XMLSchema'>{inner}</x:schema>")
        };
        let import = |of: &str| schema(&format!("<x:import schemaLocation='{of}'/>"));
        let interaction = "pkg/schemas/interactions/GetThingInteraction";
        let core = "pkg/schemas/core_components";
        [
            (format!("{interaction}/GetThingInteraction_2.0_RIVTABP21.wsdl"), wsdl.to_owned()),
            (
                format!("{interaction}/GetThingResponder_2.0.xsd"),
                import("../../core_components/thing_2.0.xsd"),
            ),
            (format!("{core}/thing_2.0.xsd"), import("./thing_enum_2.0.xsd")),
            (format!("{core}/thing_enum_2.0.xsd"), import("nothing.xsd")),
            (format!("{core}/secret.xsd"), schema("")),
            ("broken.wsdl".to_owned(), "<a>".to_owned()),
            ("other.wsdl".to_owned(), "<a targetNamespace='urn:x'/>".to_owned()),
        ]
        .map(|(name, text)| (name, text.into_bytes()))
        .into()
    }

    #[test]
    fn a_package_that_was_dropped_is_given_out_with_its_nested_schemas() {
        let (library, told) = Library::own().with(package());
        let path = "/vp/example/madeup/GetThing/2/rivtabp21";
        assert!(library.paths().any(|it| it == path));
        let text = library.wsdl(&path.to_ascii_lowercase(), BASE).unwrap();
        assert!(text.starts_with("<?xml"), "no byte order mark: {text}");
        let asked = path.to_ascii_lowercase();
        assert!(text.contains(&format!("location='{BASE}{asked}'")), "{text}");
        assert!(text.contains("schemaLocation='http://www.example.org/z.xsd'"), "{text}");
        let xsd = |location: &str| library.xsd(path, location, BASE);
        let inner = xsd("GetThingResponder_2.0.xsd").unwrap();
        let core = "../../core_components/thing_2.0.xsd";
        assert!(inner.contains(&format!("'{BASE}{path}?xsd={core}'")), "{inner}");
        let core = xsd(core).unwrap();
        assert!(core.contains("?xsd=../../core_components/thing_enum_2.0.xsd'"), "{core}");
        assert!(xsd("../../core_components/thing_enum_2.0.xsd").is_some());
        // What no schema of the contract names stays inside, ours included.
        for other in [
            "../../core_components/secret.xsd",
            "../../../../../core_components/itintegration_registry_1.0.xsd",
            "../../../../broken.wsdl",
        ] {
            assert!(xsd(other).is_none(), "{other}");
        }
        let told = told.join("\n");
        for part in ["broken.wsdl is not given out", "other.wsdl", "needs nothing.xsd"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn what_is_built_in_goes_before_what_was_dropped() {
        let text = "<a targetNamespace='urn:riv:supportprocess:patientsafety:complaint:ProcessComplaint:1:rivtabp21'/>";
        let files = [("a.wsdl".to_owned(), text.as_bytes().to_vec())].into();
        let (library, told) = Library::own().with(files);
        assert_eq!(library.paths().count(), SERVED.len());
        assert!(told.concat().contains("already"), "{told:?}");
    }
}
