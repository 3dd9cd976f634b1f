//! What every service needs and no test looks at: ids that count up, archives that nobody unpacks, and
//! who calls.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use outcrop_engine::port::{FunctionPackages, Ids, PackageError};
use outcrop_model::handle::CallContext;

pub(crate) const ACCOUNT: &str = "111111111111";
pub(crate) const REGION: &str = "us-west-2";

/// `ID00000001` and so on; UUIDs count by themselves.
#[derive(Default)]
pub(crate) struct CountingIds {
    resources: AtomicU32,
    uuids: AtomicU32,
}

impl Ids for CountingIds {
    fn uuid(&self) -> String {
        let number = self.uuids.fetch_add(1, Ordering::Relaxed);
        format!("00000000-0000-4000-8000-{number:012}")
    }

    fn resource_id(&self) -> String {
        let number = self.resources.fetch_add(1, Ordering::Relaxed) + 1;
        format!("ID{number:08}")
    }

    fn fraction(&self) -> f64 {
        0.5
    }
}

/// Unpacks nothing, and takes everything for an archive but what says that it is none.
pub(crate) struct NotUnpacked;

impl FunctionPackages for NotUnpacked {
    fn find<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<PathBuf>> {
        Box::pin(std::future::ready(None))
    }

    fn unpack<'a>(
        &'a self,
        sha256: &'a str,
        archive: Bytes,
    ) -> BoxFuture<'a, Result<PathBuf, PackageError>> {
        let unpacked = if archive.starts_with(b"no zip") {
            Err(PackageError::NotZip {
                detail: "it says so".to_owned(),
            })
        } else {
            Ok(PathBuf::from(sha256))
        };
        Box::pin(std::future::ready(unpacked))
    }
}

/// A client of the tests' account and region.
pub(crate) fn context(request_id: impl Into<String>) -> CallContext {
    CallContext {
        request_id: request_id.into(),
        account_id: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        host: None,
    }
}
