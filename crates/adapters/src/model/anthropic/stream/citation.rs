//! What Claude cites: the vendor's form to Converse's.

use outcrop_model::converse::{
    CitationLocation, CitationSourceContentDelta, CitationsDelta, DocumentCharLocation,
    DocumentChunkLocation, DocumentPageLocation, SearchResultLocation, WebLocation,
};
use serde::Deserialize;

/// A citation as the vendor writes it.
#[derive(Debug, Deserialize)]
pub(super) struct Citation {
    #[serde(rename = "type")]
    kind: Kind,
    cited_text: Option<String>,
    document_index: Option<i32>,
    document_title: Option<String>,
    start_char_index: Option<i32>,
    end_char_index: Option<i32>,
    start_page_number: Option<i32>,
    end_page_number: Option<i32>,
    start_block_index: Option<i32>,
    end_block_index: Option<i32>,
    search_result_index: Option<i32>,
    source: Option<String>,
    title: Option<String>,
    url: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    CharLocation,
    PageLocation,
    ContentBlockLocation,
    SearchResultLocation,
    WebSearchResultLocation,
    #[serde(other)]
    Unknown,
}

impl From<Citation> for CitationsDelta {
    fn from(citation: Citation) -> Self {
        let document_index = citation.document_index;
        let location = match citation.kind {
            Kind::CharLocation => Some(CitationLocation::DocumentChar(DocumentCharLocation {
                document_index,
                start: citation.start_char_index,
                end: citation.end_char_index,
            })),
            Kind::PageLocation => Some(CitationLocation::DocumentPage(DocumentPageLocation {
                document_index,
                start: citation.start_page_number,
                end: citation.end_page_number,
            })),
            Kind::ContentBlockLocation => {
                Some(CitationLocation::DocumentChunk(DocumentChunkLocation {
                    document_index,
                    start: citation.start_block_index,
                    end: citation.end_block_index,
                }))
            }
            Kind::SearchResultLocation => Some(CitationLocation::SearchResultLocation(
                SearchResultLocation {
                    search_result_index: citation.search_result_index,
                    start: citation.start_block_index,
                    end: citation.end_block_index,
                },
            )),
            Kind::WebSearchResultLocation => Some(CitationLocation::Web(WebLocation {
                domain: None,
                url: citation.url,
            })),
            Kind::Unknown => None,
        };
        let cited = citation.cited_text;
        Self {
            location,
            source: citation.source,
            source_content: cited.map(|text| vec![CitationSourceContentDelta { text: Some(text) }]),
            title: citation.document_title.or(citation.title),
        }
    }
}
