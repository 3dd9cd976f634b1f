//! `statistics` of a job (behaviour.md 9.5).

use outcrop_model::control::IngestionJobStatistics;

/// Those of a job that has not begun.
pub(crate) fn none() -> IngestionJobStatistics {
    IngestionJobStatistics {
        number_of_documents_deleted: Some(0),
        number_of_documents_failed: Some(0),
        number_of_documents_scanned: Some(0),
        number_of_documents_skipped: Some(0),
        number_of_metadata_documents_modified: Some(0),
        number_of_metadata_documents_scanned: Some(0),
        number_of_modified_documents_indexed: Some(0),
        number_of_new_documents_indexed: Some(0),
    }
}

/// What has come up since the job was last written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) scanned: i64,
    pub(crate) metadata_scanned: i64,
    pub(crate) new: i64,
    pub(crate) modified: i64,
    pub(crate) metadata_modified: i64,
    pub(crate) deleted: i64,
    pub(crate) failed: i64,
    pub(crate) skipped: i64,
}

impl Counts {
    /// Adds them up.
    pub(crate) fn add_to(self, statistics: &mut IngestionJobStatistics) {
        let add = |member: &mut Option<i64>, count: i64| {
            *member = Some(member.unwrap_or(0).saturating_add(count));
        };
        add(&mut statistics.number_of_documents_scanned, self.scanned);
        add(
            &mut statistics.number_of_metadata_documents_scanned,
            self.metadata_scanned,
        );
        add(&mut statistics.number_of_new_documents_indexed, self.new);
        add(
            &mut statistics.number_of_modified_documents_indexed,
            self.modified,
        );
        add(
            &mut statistics.number_of_metadata_documents_modified,
            self.metadata_modified,
        );
        add(&mut statistics.number_of_documents_deleted, self.deleted);
        add(&mut statistics.number_of_documents_failed, self.failed);
        add(&mut statistics.number_of_documents_skipped, self.skipped);
    }
}
