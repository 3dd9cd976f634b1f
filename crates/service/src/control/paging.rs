//! `maxResults` and `nextToken` of the list operations.
//!
//! A token is the store's cursor, bound to operation, tenant and parent: one from elsewhere is
//! refused instead of giving a page of something else.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outcrop_model::exception::Exception;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Cursor, Order, PAGE_MAX, Page, Scan};
use serde::de::DeserializeOwned;

use super::version_parent;
use crate::records::{self, Scope};
use crate::{Service, error};

/// One list operation on one parent.
pub(crate) struct List<'a> {
    /// The operation's name.
    pub(crate) operation: &'static str,
    pub(crate) scope: &'a Scope,
    pub(crate) kind: &'static str,
    pub(crate) parent: &'a str,
    pub(crate) order: Order,
}

/// One page: bodies in order, and the token of the next page if there is one.
pub(crate) type Bodies<T> = (Vec<T>, Option<String>);

/// One page of versions: whether DRAFT, the oldest of all, opens it, the numbered ones that follow,
/// and the token of the next page.
pub(crate) type Versions<T> = (bool, Vec<T>, Option<String>);

impl List<'_> {
    /// What the client asks for. Without `maxResults` the page is as large as AWS lets any be, for
    /// many clients never ask for a second one.
    pub(crate) fn page(
        &self,
        max_results: Option<i32>,
        next_token: Option<&str>,
    ) -> Result<Page, Exception> {
        let limit = max_results
            .and_then(|asked| u32::try_from(asked).ok())
            .map_or(PAGE_MAX, |asked| asked.clamp(1, PAGE_MAX));
        let after = next_token.map(|token| self.cursor(token)).transpose()?;
        Ok(Page { limit, after })
    }

    /// The token that leads to what follows `cursor`.
    pub(crate) fn token(&self, cursor: &Cursor) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}{cursor}", self.binding()))
    }

    fn cursor(&self, token: &str) -> Result<Cursor, Exception> {
        let cursor = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
            text.strip_prefix(&self.binding())?.parse().ok()
        };
        cursor().ok_or_else(|| {
            let message = "The nextToken is not valid. Use the nextToken of the previous response, or none to start over.";
            Exception::validation(message).with_field("nextToken", message)
        })
    }

    /// Ends in a space, which no part holds.
    fn binding(&self) -> String {
        format!("{} {} {} ", self.operation, self.scope.0, self.parent)
    }

    fn scan(&self, now_ms: i64) -> Scan {
        Scan {
            scope: Arc::clone(&self.scope.0),
            kind: self.kind,
            parent: self.parent.into(),
            order: self.order,
            now_ms,
        }
    }
}

/// A list operation on what belongs to one version of an agent: few things, which are sorted by the
/// moment they were made, for the copies in a version are all written at once.
pub(crate) struct VersionList<'a, T> {
    /// The operation's name.
    pub(crate) operation: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) agent_id: &'a str,
    pub(crate) version: &'a str,
    pub(crate) made_at: fn(&T) -> Timestamp,
}

impl Service {
    /// One page of what belongs to a version of an agent.
    pub(crate) async fn list_of_version<T: DeserializeOwned>(
        &self,
        scope: &Scope,
        list: &VersionList<'_, T>,
        max_results: Option<i32>,
        next_token: Option<&str>,
    ) -> Result<Bodies<T>, Exception> {
        let parent = version_parent(list.agent_id, list.version);
        let tokens = List {
            operation: list.operation,
            scope,
            kind: list.kind,
            parent: &parent,
            order: Order::Created,
        };
        let page = tokens.page(max_results, next_token)?;
        let found = self.children::<T>(scope, list.kind, &parent).await?;
        let mut sorted: Vec<(Cursor, T)> = found
            .into_iter()
            .map(|stored| {
                let sort = (list.made_at)(&stored.body).as_nanos();
                let id = stored.key.id;
                (Cursor { sort, id }, stored.body)
            })
            .collect();
        let place = |cursor: &Cursor| (cursor.sort, Arc::clone(&cursor.id));
        sorted.sort_by_cached_key(|(cursor, _)| place(cursor));
        if let Some(after) = &page.after {
            sorted.retain(|(cursor, _)| place(cursor) > place(after));
        }
        let more = sorted.len() > page.limit as usize;
        sorted.truncate(page.limit as usize);
        let end = sorted.last().filter(|_| more);
        let next_token = end.map(|(cursor, _)| tokens.token(cursor));
        let bodies = sorted.into_iter().map(|(_, body)| body).collect();
        Ok((bodies, next_token))
    }

    /// One page of a listing.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        list: &List<'_>,
        page: Page,
    ) -> Result<Bodies<T>, Exception> {
        let scan = list.scan(self.now().as_millis());
        let listing = self.ports.store.list(scan, page).await;
        let listing = listing.map_err(error::store)?;
        let bodies = listing
            .records
            .into_iter()
            .map(|record| Ok(records::read(record)?.body))
            .collect::<Result<_, Exception>>()?;
        Ok((bodies, listing.next.map(|cursor| list.token(&cursor))))
    }

    /// One page of numbered versions in the order of creation, with room left for DRAFT where the
    /// page is the first.
    pub(crate) async fn list_versions<T: DeserializeOwned>(
        &self,
        list: &List<'_>,
        page: Page,
    ) -> Result<Versions<T>, Exception> {
        if page.after.is_some() {
            let (versions, next_token) = self.list(list, page).await?;
            return Ok((false, versions, next_token));
        }
        let room = page.limit.saturating_sub(1);
        let rest = Page {
            limit: room.max(1),
            after: None,
        };
        let (versions, next_token) = self.list::<T>(list, rest).await?;
        if room > 0 {
            return Ok((true, versions, next_token));
        }
        // A page of one holds the draft alone; the next begins before every version.
        let start = Cursor {
            sort: i64::MIN,
            id: "".into(),
        };
        let next_token = (!versions.is_empty()).then(|| list.token(&start));
        Ok((true, Vec::new(), next_token))
    }
}
