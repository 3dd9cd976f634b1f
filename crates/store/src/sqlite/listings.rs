//! Which kinds of documents are kept in which order, besides that of their ids.
//!
//! An index entry for an order nobody lists in would cost every write; so the caller declares the orders
//! of each kind once. A listing in an order that was not declared is right all the same, but reads all
//! documents of its parent.

use rusqlite::{Connection, params};

use crate::document::Order;

/// What was declared: kinds with an order each, a kind once for every order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listings(&'static [(&'static str, Order)]);

/// The orders of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed(i64);

impl Listed {
    /// As the column holds it.
    pub(super) fn bits(self) -> i64 {
        self.0
    }

    /// Whether documents are found in this order by an index.
    pub(super) fn holds(self, order: Order) -> bool {
        let bit = bit(order);
        self.0 & bit == bit
    }
}

/// The bit of an order; ids need none, for the key is in their order.
fn bit(order: Order) -> i64 {
    match order {
        Order::Id => 0,
        Order::Created => 1,
        Order::UpdatedDescending => 2,
    }
}

impl Listings {
    /// What the options say, with the documents that are there brought in line: those of a kind whose
    /// declaration has changed are all rewritten, which happens once after an upgrade.
    pub(super) fn declare(
        connection: &mut Connection,
        declared: &'static [(&'static str, Order)],
    ) -> rusqlite::Result<Self> {
        let listings = Self(declared);
        let transaction = connection.transaction()?;
        for kind in listings.kinds_to_change(&transaction)? {
            let listed = listings.of(&kind).bits();
            let documents = transaction.execute(
                include_str!("queries/listing_apply.sql"),
                params![kind, listed],
            )?;
            transaction.execute(
                include_str!("queries/listing_declare.sql"),
                params![kind, listed],
            )?;
            tracing::info!(kind, documents, "listing orders changed");
        }
        transaction.commit()?;
        Ok(listings)
    }

    /// The orders of a kind.
    pub(super) fn of(self, kind: &str) -> Listed {
        let declared = self.0.iter().filter(|(declared, _)| *declared == kind);
        Listed(declared.fold(0, |bits, (_, order)| bits | bit(*order)))
    }

    /// Kinds that are declared now, or were, and not as the documents are indexed.
    fn kinds_to_change(self, connection: &Connection) -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare("SELECT kind, listed FROM listings")?;
        let indexed = statement
            .query_map([], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let mut kinds: Vec<String> = self.0.iter().map(|(kind, _)| (*kind).to_owned()).collect();
        kinds.extend(indexed.iter().map(|(kind, _)| kind.clone()));
        kinds.sort();
        kinds.dedup();
        kinds.retain(|kind| {
            let known = indexed.iter().find(|(indexed, _)| indexed == kind);
            known.map_or(0, |(_, listed)| *listed) != self.of(kind).bits()
        });
        Ok(kinds)
    }
}
