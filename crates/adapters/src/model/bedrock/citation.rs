//! What a model cites, from the SDK's types to this project's.

use aws_sdk_bedrockruntime::types as sdk;
use outcrop_model::converse::{
    CitationLocation, CitationSourceContentDelta, CitationsDelta, DocumentCharLocation,
    DocumentChunkLocation, DocumentPageLocation, SearchResultLocation, WebLocation,
};

/// A citation within a stream.
pub(super) fn delta(citation: sdk::CitationsDelta) -> CitationsDelta {
    let source = citation.source_content.map(|parts| {
        let text =
            |part: sdk::CitationSourceContentDelta| CitationSourceContentDelta { text: part.text };
        parts.into_iter().map(text).collect()
    });
    CitationsDelta {
        location: citation.location.and_then(location),
        source: citation.source,
        source_content: source,
        title: citation.title,
    }
}

/// A citation of a whole answer, as it would have been streamed.
pub(super) fn whole(citation: sdk::Citation) -> CitationsDelta {
    let source = citation.source_content.map(|parts| {
        parts
            .into_iter()
            .filter_map(|part| match part {
                sdk::CitationSourceContent::Text(text) => {
                    Some(CitationSourceContentDelta { text: Some(text) })
                }
                _ => None,
            })
            .collect()
    });
    CitationsDelta {
        location: citation.location.and_then(location),
        source: citation.source,
        source_content: source,
        title: citation.title,
    }
}

/// None for a kind of place that is newer than the SDK.
fn location(location: sdk::CitationLocation) -> Option<CitationLocation> {
    use sdk::CitationLocation as Sdk;
    Some(match location {
        Sdk::DocumentChar(at) => CitationLocation::DocumentChar(DocumentCharLocation {
            document_index: at.document_index,
            end: at.end,
            start: at.start,
        }),
        Sdk::DocumentChunk(at) => CitationLocation::DocumentChunk(DocumentChunkLocation {
            document_index: at.document_index,
            end: at.end,
            start: at.start,
        }),
        Sdk::DocumentPage(at) => CitationLocation::DocumentPage(DocumentPageLocation {
            document_index: at.document_index,
            end: at.end,
            start: at.start,
        }),
        Sdk::SearchResultLocation(at) => {
            CitationLocation::SearchResultLocation(SearchResultLocation {
                end: at.end,
                search_result_index: at.search_result_index,
                start: at.start,
            })
        }
        Sdk::Web(at) => CitationLocation::Web(WebLocation {
            domain: at.domain,
            url: at.url,
        }),
        _ => return None,
    })
}
