//! A published version of a TAK as JSON, in its three dialects: the database's own, with ids; what
//! `/tak-services/export/pv` gives, with natural keys; and what the TakExport script writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

use super::super::rows::Filter;
use super::ImportError;
use super::raw::{At, NamesTold, Raw, RawPermission, RawRoute, Spot};

/// `data` of a publication. Keys that are not here are of no use to routing.
#[derive(Debug, serde::Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Publication {
    rivtaprofil: Vec<Named>,
    tjanstekontrakt: Vec<Named>,
    logiskadress: Vec<Named>,
    tjanstekomponent: Vec<Named>,
    anropsadress: Vec<Entry>,
    anropsbehorighet: Vec<Entry>,
    vagval: Vec<Entry>,
    filter: Vec<Entry>,
    filtercategorization: Vec<Entry>,
}

/// A row with a natural key of its own.
#[derive(Debug, serde::Deserialize)]
struct Named {
    id: Option<Key>,
    #[serde(alias = "hsaId", alias = "namnrymd")]
    namn: Option<String>,
    beskrivning: Option<String>,
}

/// A row that points at others.
#[derive(Debug, serde::Deserialize)]
struct Entry {
    id: Option<Key>,
    adress: Option<String>,
    servicedomain: Option<String>,
    category: Option<String>,
    #[serde(rename = "fromTidpunkt")]
    from: Option<String>,
    #[serde(rename = "tomTidpunkt")]
    to: Option<String>,
    #[serde(default)]
    relationships: Relations,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Relations {
    rivtaprofil: Option<Key>,
    #[serde(alias = "tjanstekonsument")]
    tjanstekomponent: Option<Key>,
    tjanstekontrakt: Option<Key>,
    #[serde(alias = "logiskAdress")]
    logiskadress: Option<Key>,
    #[serde(alias = "anropsAdress")]
    anropsadress: Option<Key>,
    #[serde(alias = "anropsBehorighet")]
    anropsbehorighet: Option<Key>,
    filter: Option<Key>,
}

/// How a row points at another: ids are numbers, natural keys are texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Id(i64),
    Name(String),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id or a text")
            }
            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<Key, E> {
                i64::try_from(id).map(Key::Id).map_err(|_| E::custom("an id beyond all ids"))
            }
            fn visit_i64<E>(self, id: i64) -> Result<Key, E> {
                Ok(Key::Id(id))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key, E> {
                Ok(Key::Name(text.to_owned()))
            }
        }
        from.deserialize_any(Either)
    }
}

/// Natural keys by id.
struct Table<'p>(BTreeMap<&'p Key, &'p str>);

impl<'p> Table<'p> {
    fn of(rows: &'p [Named]) -> Self {
        let with_id = |it: &'p Named| Some((it.id.as_ref()?, it.namn.as_deref()?));
        Self(rows.iter().filter_map(with_id).collect())
    }

    fn name(&self, key: Option<&'p Key>) -> Option<&'p str> {
        match key? {
            Key::Name(name) => Some(name),
            id @ Key::Id(_) => self.0.get(id).copied(),
        }
    }
}

impl Publication {
    /// Adds the rows to `raw`.
    pub(super) fn read(&self, file: usize, name: &str, raw: &mut Raw) -> Result<(), ImportError> {
        let empty = |what| Err(ImportError::Empty { file: name.to_owned(), what });
        if self.vagval.is_empty() {
            return empty("vagval");
        }
        if self.anropsbehorighet.is_empty() {
            return empty("anropsbehorighet");
        }
        let lists = [
            (&self.tjanstekontrakt, &mut raw.names.contracts),
            (&self.logiskadress, &mut raw.names.addresses),
            (&self.tjanstekomponent, &mut raw.names.components),
        ];
        for (rows, names) in lists {
            for row in rows {
                if let (Some(id), Some(name)) = (&row.namn, &row.beskrivning) {
                    NamesTold::tell(names, id, name);
                }
            }
        }
        self.routes(file, raw);
        self.permissions(file, raw);
        (raw.all_routes, raw.all_permissions) = (true, true);
        raw.bound()
    }

    fn routes(&self, file: usize, raw: &mut Raw) {
        let (contracts, addresses) =
            (Table::of(&self.tjanstekontrakt), Table::of(&self.logiskadress));
        let calls = Calls::of(self);
        for (count, row) in self.vagval.iter().enumerate() {
            let to = &row.relationships;
            let (url, profile) = calls.find(to.anropsadress.as_ref());
            raw.routes.push(RawRoute {
                at: at(file, "vagval", count, row),
                contract: owned(contracts.name(to.tjanstekontrakt.as_ref())),
                address: owned(addresses.name(to.logiskadress.as_ref())),
                profile: owned(profile),
                url: owned(url),
                from: row.from.clone(),
                to: row.to.clone(),
                system: None,
            });
        }
    }

    fn permissions(&self, file: usize, raw: &mut Raw) {
        let (contracts, addresses) =
            (Table::of(&self.tjanstekontrakt), Table::of(&self.logiskadress));
        let consumers = Table::of(&self.tjanstekomponent);
        let mut filters = self.filters();
        for (count, row) in self.anropsbehorighet.iter().enumerate() {
            let to = &row.relationships;
            raw.permissions.push(RawPermission {
                at: at(file, "anropsbehorighet", count, row),
                contract: owned(contracts.name(to.tjanstekontrakt.as_ref())),
                address: owned(addresses.name(to.logiskadress.as_ref())),
                consumer: owned(consumers.name(to.tjanstekomponent.as_ref())),
                from: row.from.clone(),
                to: row.to.clone(),
                filters: row.id.as_ref().and_then(|it| filters.remove(it)).unwrap_or_default(),
            });
        }
    }

    /// Filters by the permission that they belong to.
    fn filters(&self) -> BTreeMap<&Key, Vec<Filter>> {
        let mut categories: BTreeMap<&Key, Vec<String>> = BTreeMap::new();
        for row in &self.filtercategorization {
            if let (Some(of), Some(category)) = (&row.relationships.filter, &row.category) {
                categories.entry(of).or_default().push(category.clone());
            }
        }
        let mut found: BTreeMap<&Key, Vec<Filter>> = BTreeMap::new();
        for row in &self.filter {
            if let (Some(of), Some(domain)) =
                (&row.relationships.anropsbehorighet, &row.servicedomain)
            {
                let own = row.id.as_ref().and_then(|it| categories.remove(it));
                let categorizations = own.unwrap_or_default();
                found
                    .entry(of)
                    .or_default()
                    .push(Filter { domain: domain.clone(), categorizations });
            }
        }
        found
    }
}

/// Where calls go: by id, and by URL for the dialect in which routes name that.
struct Calls<'p> {
    by_id: BTreeMap<&'p Key, (&'p str, Option<&'p str>)>,
    by_url: BTreeMap<&'p str, BTreeSet<&'p str>>,
}

impl<'p> Calls<'p> {
    fn of(from: &'p Publication) -> Self {
        let profiles = Table::of(&from.rivtaprofil);
        let mut calls = Self { by_id: BTreeMap::new(), by_url: BTreeMap::new() };
        for row in &from.anropsadress {
            let Some(url) = row.adress.as_deref() else { continue };
            let profile = profiles.name(row.relationships.rivtaprofil.as_ref());
            if let Some(id) = &row.id {
                calls.by_id.insert(id, (url, profile));
            }
            calls.by_url.entry(url).or_default().extend(profile);
        }
        calls
    }

    /// URL and profile; no profile where the URL alone does not tell it.
    fn find(&self, key: Option<&'p Key>) -> (Option<&'p str>, Option<&'p str>) {
        let url = match key {
            None => return (None, None),
            Some(id @ Key::Id(_)) => {
                let found = self.by_id.get(id).copied();
                return (found.map(|it| it.0), found.and_then(|it| it.1));
            }
            Some(Key::Name(url)) => url.as_str(),
        };
        let mut profiles = self.by_url.get(url).into_iter().flatten();
        let only = profiles.next().filter(|_| profiles.next().is_none());
        (Some(url), only.copied())
    }
}

fn at(file: usize, table: &'static str, count: usize, row: &Entry) -> At {
    let id = match &row.id {
        Some(Key::Id(id)) => id.to_string(),
        Some(Key::Name(id)) => id.clone(),
        None => format!("no. {}", count + 1),
    };
    At { file, spot: Spot::Row(table, id) }
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}
