//! The table asked the other way: which contracts at an address, which addresses for a contract.
//!
//! Both answers hold what [`Table::decide`] would say of each call, and so never promise one that
//! would be refused. A row for `*` lets calls through but is no address: it adds none to an answer.
//! An address that only such a row covers is told when it is asked about, and listed when another row
//! names it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::decide::Destination;
use super::{PROCESS_COMPLAINT, PROCESS_COMPLAINT_HANDLING, Profile, Question, Table};
use crate::clock;
use crate::id::{Contract, HsaId};
use crate::rivta::served;

/// Every address: no address itself.
const STANDARD: &str = "*";

impl Table {
    /// The contracts that can be called at `address`: by `consumer`, or by anybody with permission
    /// where none is given. In order of their names.
    #[must_use]
    pub fn contracts_at(
        &self,
        address: &str,
        consumer: Option<&HsaId>,
        at: Timestamp,
    ) -> Vec<String> {
        let mut contracts: BTreeSet<&str> =
            self.routes.iter().map(|it| self.names.text(it.contract)).collect();
        contracts.extend([PROCESS_COMPLAINT, PROCESS_COMPLAINT_HANDLING]);
        contracts.extend(served::ALL);
        // A row may write a contract of ours in another case than we do.
        let mut met = BTreeSet::new();
        contracts
            .into_iter()
            .filter(|it| met.insert(it.to_ascii_lowercase()))
            .filter(|it| self.is_reached(it, address, consumer, at))
            .map(str::to_owned)
            .collect()
    }

    /// The addresses that `consumer` may call now with `contract`, each as it is configured. In order
    /// of their names.
    #[must_use]
    pub fn addresses_for(&self, consumer: &HsaId, contract: &str, at: Timestamp) -> Vec<String> {
        let mut met = BTreeSet::new();
        self.named_for(contract)
            .into_iter()
            // The same address may be written in several cases.
            .filter(|it| *it != STANDARD && met.insert(it.to_ascii_uppercase()))
            .filter(|it| self.is_reached(contract, it, Some(consumer), at))
            .map(str::to_owned)
            .collect()
    }

    /// The addresses that are named together with `contract`.
    fn named_for(&self, contract: &str) -> BTreeSet<&str> {
        if contract.eq_ignore_ascii_case(PROCESS_COMPLAINT) {
            return self.units.values().map(|it| it.hsa_id.as_str()).collect();
        }
        if contract.eq_ignore_ascii_case(PROCESS_COMPLAINT_HANDLING) {
            return BTreeSet::from([self.platform.portal.as_str()]);
        }
        let mut named = BTreeSet::new();
        if served::is_served(contract) {
            named.insert(self.platform.hsa_id.as_str());
        }
        if let Some(name) = self.names.find(contract) {
            let routes = self.routes.iter().filter(|it| it.contract == name);
            named.extend(routes.map(|it| self.names.text(it.address)));
            let permissions = self.permissions.iter().filter(|it| it.contract == name);
            named.extend(permissions.map(|it| self.names.text(it.address)));
        }
        named
    }

    fn is_reached(
        &self,
        contract: &str,
        address: &str,
        consumer: Option<&HsaId>,
        at: Timestamp,
    ) -> bool {
        let contract = Contract(contract.to_owned());
        let caller = consumer.unwrap_or(&self.platform.hsa_id);
        [Profile::Rivtabp21, Profile::Rivtabp20].into_iter().any(|profile| {
            let question = Question { caller, contract: &contract, address, profile, at };
            let destination: Result<Destination, _> = match consumer {
                Some(_) => self.decide(&question).outcome,
                None => self.destination(&mut self.call(&question, clock::swedish_day(at))),
            };
            destination.is_ok()
        })
    }
}
