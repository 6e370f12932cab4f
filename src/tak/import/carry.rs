//! Carries orders out on the rows that there are, and tells what came of each.

use std::collections::BTreeMap;

use super::checked::{self, PermissionRow, RouteRow, Rows, same};
use super::order::{self, Came, Order};
use super::raw::{RawPermission, RawRoute};
use super::{Own, Work};

/// Rows by what they are for, so that an order of thousands finds its own among hundreds of
/// thousands.
#[derive(Debug, Default)]
pub(super) struct Groups {
    routes: BTreeMap<String, Vec<RouteRow>>,
    permissions: BTreeMap<String, Vec<PermissionRow>>,
}

impl Groups {
    pub(super) fn of(rows: Rows) -> Self {
        let mut groups = Self::default();
        for row in rows.routes {
            groups.routes_at(&row).push(row);
        }
        for row in rows.permissions {
            groups.permissions_at(&row).push(row);
        }
        groups
    }

    fn into_rows(self) -> Rows {
        Rows {
            routes: self.routes.into_values().flatten().collect(),
            permissions: self.permissions.into_values().flatten().collect(),
        }
    }

    fn routes_at(&mut self, row: &RouteRow) -> &mut Vec<RouteRow> {
        self.routes.entry(key(&row.contract, &row.address)).or_default()
    }

    fn permissions_at(&mut self, row: &PermissionRow) -> &mut Vec<PermissionRow> {
        self.permissions.entry(key(&row.contract, &row.address)).or_default()
    }

    /// Whether a route like this one is there.
    fn has_route_like(&self, row: &RouteRow) -> bool {
        let rows = self.routes.get(&key(&row.contract, &row.address));
        rows.is_some_and(|it| it.iter().any(|it| same(it.goal.url(), row.goal.url())))
    }

    /// Whether a permission like this one is there.
    fn has_permission_like(&self, row: &PermissionRow) -> bool {
        let rows = self.permissions.get(&key(&row.contract, &row.address));
        rows.is_some_and(|it| it.iter().any(|it| it.is_at(row)))
    }
}

fn key(contract: &str, address: &str) -> String {
    format!("{contract}|{address}").to_ascii_lowercase()
}

impl Work<'_> {
    /// Carries the orders out, in the order that they are given in.
    pub(super) fn carry_out(&mut self, orders: &[Order]) {
        if orders.is_empty() {
            return;
        }
        let mut rows = Groups::of(std::mem::take(&mut self.rows));
        for order in orders {
            self.carry_out_one(order, &mut rows);
        }
        self.rows = rows.into_rows();
    }

    fn carry_out_one(&mut self, order: &Order, rows: &mut Groups) {
        let mut came: BTreeMap<Came, usize> = BTreeMap::new();
        // Removals first, so that what replaces something finds its place free.
        for raw in &order.remove.0 {
            self.order_route(raw, rows, &mut came, |own, rows, row| {
                let it = order::remove_route(rows.routes_at(&row), &row, order.day);
                let elsewhere = it == Came::Missing && own.rows.has_route_like(&row);
                if elsewhere { Err(IN_OWN) } else { Ok(it) }
            });
        }
        for raw in &order.remove.1 {
            self.order_permission(raw, rows, &mut came, |own, rows, row| {
                let it = order::remove_permission(rows.permissions_at(&row), &row, order.day);
                let elsewhere = it == Came::Missing && own.rows.has_permission_like(&row);
                if elsewhere { Err(IN_OWN) } else { Ok(it) }
            });
        }
        for raw in &order.add.0 {
            self.order_route(raw, rows, &mut came, |_, rows, row| {
                let it = order::add_route(rows.routes_at(&row), unnumbered(row));
                if it == Came::Blocked { Err(LATER) } else { Ok(it) }
            });
        }
        for raw in &order.add.1 {
            self.order_permission(raw, rows, &mut came, |_, rows, row| {
                Ok(order::add_permission(rows.permissions_at(&row), row))
            });
        }
        let told: Vec<String> =
            came.iter().map(|(came, count)| format!("{count} {}", word(*came))).collect();
        self.report.notes.push(format!("order of {}: {}", order.day, told.join(", ")));
    }

    fn order_route(
        &mut self,
        raw: &RawRoute,
        rows: &mut Groups,
        came: &mut BTreeMap<Came, usize>,
        act: impl FnOnce(&Own, &mut Groups, RouteRow) -> Result<Came, &'static str>,
    ) {
        let row = checked::route(raw, 0, &self.own.systems, &mut self.texts);
        match row.and_then(|row| act(&self.own, rows, row).map_err(str::to_owned)) {
            Ok(it) => *came.entry(it).or_default() += 1,
            Err(why) => self.leave_route(raw, why),
        }
    }

    fn order_permission(
        &mut self,
        raw: &RawPermission,
        rows: &mut Groups,
        came: &mut BTreeMap<Came, usize>,
        act: impl FnOnce(&Own, &mut Groups, PermissionRow) -> Result<Came, &'static str>,
    ) {
        let row = checked::permission(raw, &mut self.texts);
        match row.and_then(|row| act(&self.own, rows, row).map_err(str::to_owned)) {
            Ok(it) => *came.entry(it).or_default() += 1,
            Err(why) => self.leave_permission(raw, why),
        }
    }
}

const IN_OWN: &str = "it stands in a file of your own, which is not changed";
const LATER: &str = "a route for the same contract and address begins later and stands in the way";

fn unnumbered(row: RouteRow) -> RouteRow {
    RouteRow { raw: None, from: None, to: None, ..row }
}

/// TAK's own words for what came of an order.
const fn word(came: Came) -> &'static str {
    match came {
        Came::New => "new (nyskapad)",
        Came::Changed => "changed (uppdaterad)",
        Came::Removed => "removed (borttagen)",
        Came::Ended => "ended (deaktiverad)",
        Came::Already => "so already",
        Came::Missing => "not there (existerar ej)",
        Came::Blocked => "not carried out",
    }
}
