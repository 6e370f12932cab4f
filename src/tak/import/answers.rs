//! The XML that a TAK gives out: the four SokVagvalsInfo v2 answers, and a platform's cache file.

use super::super::rows::Filter;
use super::raw::{At, NamesTold, Raw, RawPermission, RawRoute, Spot};
use super::{ImportError, MARKS};
use crate::xml::XmlError;
use crate::xml::rows::{self, Row};

const ROUTE: &str = "virtualiseringsInfo";
const PERMISSION: &str = "anropsBehorighetsInfo";
const CONTRACT: &str = "tjanstekontraktInfo";
const COMPONENT: &str = "tjanstekomponentInfo";
const FAULT: &str = "Fault";

/// What each answer is called, and what its rows are.
const ROUTES: &str = "hamtaAllaVirtualiseringarResponse";
const PERMISSIONS: &str = "hamtaAllaAnropsBehorigheterResponse";
const CONTRACTS: &str = "hamtaAllaTjanstekontraktResponse";
const COMPONENTS: &str = "hamtaAllaTjanstekomponenterResponse";
const CACHE: &str = "persistentCache";

enum Stop {
    Xml(XmlError),
    Import(ImportError),
}

impl From<XmlError> for Stop {
    fn from(error: XmlError) -> Self {
        Self::Xml(error)
    }
}

/// Reads the file with this number and name.
pub(super) fn read(file: usize, name: &str, text: &str, raw: &mut Raw) -> Result<(), ImportError> {
    let before = (raw.routes.len(), raw.permissions.len());
    let mut fault = None;
    let names = [ROUTE, PERMISSION, CONTRACT, COMPONENT, FAULT];
    let outside = rows::each::<Stop>(text, &names, &mut |row| {
        let at = At { file, spot: Spot::Byte(row.at) };
        match row.name.as_str() {
            ROUTE => raw.routes.push(route(at, &row, &mut raw.ignored)),
            PERMISSION => raw.permissions.push(permission(at, &row)),
            CONTRACT => told(&mut raw.names.contracts, &row, "namnrymd"),
            COMPONENT => told(&mut raw.names.components, &row, "hsaId"),
            _ => fault = Some(row.text_of("faultstring").unwrap_or_default().trim().to_owned()),
        }
        raw.bound().map_err(Stop::Import)
    })
    .map_err(|stop| match stop {
        Stop::Xml(cause) => ImportError::Xml { file: name.to_owned(), cause },
        Stop::Import(error) => error,
    })?;
    if let Some(text) = fault {
        return Err(ImportError::Fault { file: name.to_owned(), text });
    }
    let has = |wanted: &str| outside.iter().any(|it| it == wanted);
    let cache = has(CACHE);
    if !cache && ![ROUTES, PERMISSIONS, CONTRACTS, COMPONENTS].into_iter().any(has) {
        let found = outside.into_iter().take(3).collect::<Vec<_>>().join("/");
        return Err(ImportError::Unknown { file: name.to_owned(), found: format!("<{found}>") });
    }
    let empty = |what| Err(ImportError::Empty { file: name.to_owned(), what });
    if (cache || has(ROUTES)) && raw.routes.len() == before.0 {
        return empty("virtualiseringsInfo");
    }
    if (cache || has(PERMISSIONS)) && raw.permissions.len() == before.1 {
        return empty("anropsBehorighetsInfo");
    }
    raw.all_routes |= cache || has(ROUTES);
    raw.all_permissions |= cache || has(PERMISSIONS);
    Ok(())
}

type Ignored = std::collections::BTreeSet<String>;

fn route(at: At, row: &Row, ignored: &mut Ignored) -> RawRoute {
    let mut system = None;
    for field in &row.fields {
        let known = matches!(
            field.name.as_str(),
            "virtualiseringsInfoId"
                | "receiverId"
                | "rivProfil"
                | "tjansteKontrakt"
                | "fromTidpunkt"
                | "tomTidpunkt"
                | "adress"
        );
        if *field.namespace == *MARKS {
            if field.name == "system" {
                system = Some(field.text.trim().to_owned());
            }
        } else if !known {
            ignored.insert(format!("<{}> in {ROUTE}", field.name));
        }
    }
    RawRoute {
        at,
        contract: text(row, "tjansteKontrakt"),
        address: text(row, "receiverId"),
        profile: text(row, "rivProfil"),
        url: text(row, "adress"),
        from: text(row, "fromTidpunkt"),
        to: text(row, "tomTidpunkt"),
        system,
    }
}

fn permission(at: At, row: &Row) -> RawPermission {
    let mut filters: Vec<Filter> = Vec::new();
    for field in &row.fields {
        match (field.depth, field.name.as_str(), filters.last_mut()) {
            (1, "filterInfo", _) => {
                filters.push(Filter { domain: String::new(), categorizations: Vec::new() });
            }
            (2, "serviceDomain", Some(filter)) => field.text.trim().clone_into(&mut filter.domain),
            (2, "categorization", Some(filter)) => {
                filter.categorizations.push(field.text.trim().to_owned());
            }
            _ => {}
        }
    }
    RawPermission {
        at,
        contract: text(row, "tjansteKontrakt"),
        address: text(row, "receiverId"),
        consumer: text(row, "senderId"),
        from: text(row, "fromTidpunkt"),
        to: text(row, "tomTidpunkt"),
        filters,
    }
}

fn told(names: &mut std::collections::BTreeMap<String, String>, row: &Row, id: &str) {
    if let (Some(id), Some(name)) = (row.text_of(id), row.text_of("beskrivning")) {
        NamesTold::tell(names, id, name);
    }
}

fn text(row: &Row, name: &str) -> Option<String> {
    row.text_of(name).map(str::to_owned)
}
