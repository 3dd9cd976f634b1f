//! Single documents of a data source: taken in, shown, listed and deleted (behaviour.md 9.5).
//!
//! What is asked for is written down and done in the background; see [`crate::knowledge::ingest`].
//! Invariant: a document's upload, its status and the job that reads both are one batch.

use std::collections::BTreeSet;

use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::metadata::Attributes;
use outcrop_model::control::{
    ContentDataSourceType, CustomContent, CustomDocumentIdentifier, CustomSourceType, DataSource,
    DataSourceType, DeleteKnowledgeBaseDocumentsRequest, DeleteKnowledgeBaseDocumentsResponse,
    DocumentIdentifier, DocumentMetadata, DocumentStatus, GetKnowledgeBaseDocumentsRequest,
    GetKnowledgeBaseDocumentsResponse, IngestKnowledgeBaseDocumentsRequest,
    IngestKnowledgeBaseDocumentsResponse, InlineContentType, KnowledgeBaseDocument,
    KnowledgeBaseDocumentDetail, ListKnowledgeBaseDocumentsRequest,
    ListKnowledgeBaseDocumentsResponse, MetadataSourceType, S3Location, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Order, Write};

use super::Refused;
use super::choices::violation;
use super::ingestion_jobs::OpenSource;
use super::paging::List;
use crate::knowledge::ingest::queue::Task;
use crate::knowledge::ingest::s3_uri;
use crate::knowledge::ingest::stored::{
    DocumentDoc, SourceRef, UploadDoc, UploadedContent, UploadedMetadata,
};
use crate::records::{kind, put};
use crate::{Service, scope};

/// What is done to documents, as refusals name it.
const INGEST: &str = "ingest documents";
const DELETE: &str = "delete documents";

impl Handle<op::IngestKnowledgeBaseDocuments> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: IngestKnowledgeBaseDocumentsRequest,
    ) -> Result<IngestKnowledgeBaseDocumentsResponse, Exception> {
        let details = self
            .in_turn(&scope(cx), &input.knowledge_base_id, || {
                self.ingest_documents(cx, &input)
            })
            .await?;
        self.ingestion.wake();
        Ok(IngestKnowledgeBaseDocumentsResponse {
            document_details: Some(details),
        })
    }
}

impl Handle<op::DeleteKnowledgeBaseDocuments> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DeleteKnowledgeBaseDocumentsRequest,
    ) -> Result<DeleteKnowledgeBaseDocumentsResponse, Exception> {
        let details = self
            .in_turn(&scope(cx), &input.knowledge_base_id, || {
                self.delete_documents(cx, &input)
            })
            .await?;
        self.ingestion.wake();
        Ok(DeleteKnowledgeBaseDocumentsResponse {
            document_details: Some(details),
        })
    }
}

impl Handle<op::GetKnowledgeBaseDocuments> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetKnowledgeBaseDocumentsRequest,
    ) -> Result<GetKnowledgeBaseDocumentsResponse, Exception> {
        let open = self
            .source(cx, &input.knowledge_base_id, &input.data_source_id)
            .await?;
        let type_ = document_type(&open.data_source.body)?;
        let mut details = Vec::with_capacity(input.document_identifiers.len());
        for (place, identifier) in input.document_identifiers.iter().enumerate() {
            let member = format!("documentIdentifiers.{}.member", place + 1);
            let location = location(&member, type_, identifier)?;
            details.push(self.detail(&open.reference, &location).await?);
        }
        Ok(GetKnowledgeBaseDocumentsResponse {
            document_details: Some(details),
        })
    }
}

impl Handle<op::ListKnowledgeBaseDocuments> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListKnowledgeBaseDocumentsRequest,
    ) -> Result<ListKnowledgeBaseDocumentsResponse, Exception> {
        let open = self
            .source(cx, &input.knowledge_base_id, &input.data_source_id)
            .await?;
        document_type(&open.data_source.body)?;
        let list = List {
            operation: op::ListKnowledgeBaseDocuments::SPEC.name,
            scope: &scope(cx),
            kind: kind::KB_DOCUMENT,
            parent: &open.reference.parent(),
            order: Order::Id,
        };
        let page = list.page(input.max_results, input.next_token.as_deref())?;
        let (found, next_token) = self.list::<DocumentDoc>(&list, page).await?;
        let details = found.into_iter().map(|doc| detail(&open.reference, doc));
        Ok(ListKnowledgeBaseDocumentsResponse {
            document_details: details.collect(),
            next_token,
        })
    }
}

impl Service {
    /// A document as it is now; `NOT_FOUND` where there is none.
    async fn detail(
        &self,
        source: &SourceRef,
        location: &DocumentLocation,
    ) -> Result<KnowledgeBaseDocumentDetail, Exception> {
        let found = self
            .load::<DocumentDoc>(source.document_key(location))
            .await?;
        let doc = found.map_or_else(
            || DocumentDoc {
                location: location.clone(),
                status: DocumentStatus::NotFound,
                reason: None,
                updated_at: self.now(),
                indexed: None,
                before: None,
                again: false,
                failed_in: None,
            },
            |stored| stored.body,
        );
        Ok(detail(source, doc))
    }

    async fn ingest_documents(
        &self,
        cx: &CallContext,
        input: &IngestKnowledgeBaseDocumentsRequest,
    ) -> Result<Vec<KnowledgeBaseDocumentDetail>, Refused> {
        let token = self
            .token::<op::IngestKnowledgeBaseDocuments>(cx, input.client_token.as_deref(), input)
            .await?;
        let open = self
            .source(cx, &input.knowledge_base_id, &input.data_source_id)
            .await?;
        open.check_ready(INGEST)?;
        let type_ = document_type(&open.data_source.body)?;
        let mut uploads = Vec::with_capacity(input.documents.len());
        for (place, document) in input.documents.iter().enumerate() {
            let member = format!("documents.{}.member", place + 1);
            uploads.push(upload(&member, type_, document, || self.ports.ids.uuid())?);
        }
        check_once("documents", uploads.iter().map(|(location, _)| location))?;
        if token.made.is_some() {
            let mut details = Vec::with_capacity(uploads.len());
            for (location, _) in &uploads {
                details.push(self.detail(&open.reference, location).await?);
            }
            return Ok(details);
        }
        let now = self.now();
        let made = open.reference.data_source_id.as_str();
        let mut writes: Vec<Write> = token.remember(made, now).into_iter().collect();
        writes.extend(open.guards());
        let mut details = Vec::with_capacity(uploads.len());
        for (location, upload) in uploads {
            let upload_key = open.reference.upload_key(&location);
            writes.push(put(upload_key, &upload, Expect::Any, None));
            let doc = asked(&location, DocumentStatus::Starting, now);
            writes.extend(ask(&open, &doc, now));
            details.push(detail(&open.reference, doc));
        }
        self.write(writes).await?;
        Ok(details)
    }

    async fn delete_documents(
        &self,
        cx: &CallContext,
        input: &DeleteKnowledgeBaseDocumentsRequest,
    ) -> Result<Vec<KnowledgeBaseDocumentDetail>, Refused> {
        let token = self
            .token::<op::DeleteKnowledgeBaseDocuments>(cx, input.client_token.as_deref(), input)
            .await?;
        let open = self
            .source(cx, &input.knowledge_base_id, &input.data_source_id)
            .await?;
        open.check_ready(DELETE)?;
        let type_ = document_type(&open.data_source.body)?;
        let mut locations = Vec::with_capacity(input.document_identifiers.len());
        for (place, identifier) in input.document_identifiers.iter().enumerate() {
            let member = format!("documentIdentifiers.{}.member", place + 1);
            locations.push(location(&member, type_, identifier)?);
        }
        check_once("documentIdentifiers", locations.iter())?;
        let now = self.now();
        let is_repeated = token.made.is_some();
        let made = open.reference.data_source_id.as_str();
        let mut writes: Vec<Write> = token.remember(made, now).into_iter().collect();
        writes.extend(open.guards());
        let mut details = Vec::with_capacity(locations.len());
        for location in &locations {
            let found = self.detail(&open.reference, location).await?;
            if is_repeated || found.status == DocumentStatus::NotFound {
                details.push(found);
                continue;
            }
            let doc = asked(location, DocumentStatus::Deleting, now);
            writes.extend(ask(&open, &doc, now));
            details.push(detail(&open.reference, doc));
        }
        if !is_repeated {
            self.write(writes).await?;
        }
        Ok(details)
    }
}

/// A document with which something is to be done.
fn asked(location: &DocumentLocation, status: DocumentStatus, now: Timestamp) -> DocumentDoc {
    DocumentDoc {
        location: location.clone(),
        status,
        reason: None,
        updated_at: now,
        indexed: None,
        before: None,
        again: true,
        failed_in: None,
    }
}

/// The writes that have it done.
fn ask(open: &OpenSource, doc: &DocumentDoc, now: Timestamp) -> [Write; 2] {
    let source = &open.reference;
    let task = Task::Document {
        source: source.clone(),
        location: doc.location.clone(),
        failures: 0,
    };
    [
        put(source.document_key(&doc.location), doc, Expect::Any, None),
        task.enqueue(now.as_millis()),
    ]
}

/// What documents of a data source are.
///
/// # Errors
/// `ValidationException` for a source whose documents cannot be had one by one.
fn document_type(source: &DataSource) -> Result<ContentDataSourceType, Exception> {
    match source.data_source_configuration.type_ {
        DataSourceType::S3 => Ok(ContentDataSourceType::S3),
        DataSourceType::Custom => Ok(ContentDataSourceType::Custom),
        other => Err(Exception::validation(format!(
            "The documents API takes data sources of type CUSTOM and S3. The type of data source {} is {other}.",
            source.data_source_id
        ))),
    }
}

fn check_type(
    member: &str,
    source: ContentDataSourceType,
    given: ContentDataSourceType,
) -> Result<(), Exception> {
    if source == given {
        return Ok(());
    }
    Err(violation(
        &format!("{member}.dataSourceType"),
        &format!("is {given}, but the data source is of type {source}"),
    ))
}

fn missing(member: &str, name: &str) -> Exception {
    violation(&format!("{member}.{name}"), "is required")
}

fn check_once<'a>(
    member: &str,
    locations: impl Iterator<Item = &'a DocumentLocation>,
) -> Result<(), Exception> {
    let mut seen = BTreeSet::new();
    for location in locations {
        if !seen.insert(location) {
            return Err(violation(
                member,
                &format!(
                    "has the document {} twice. Give each document once",
                    location.as_str()
                ),
            ));
        }
    }
    Ok(())
}

/// The document that an identifier names.
fn location(
    member: &str,
    source: ContentDataSourceType,
    given: &DocumentIdentifier,
) -> Result<DocumentLocation, Exception> {
    check_type(member, source, given.data_source_type)?;
    if source == ContentDataSourceType::S3 {
        let s3 = given.s3.as_ref().ok_or_else(|| missing(member, "s3"))?;
        s3_location(&format!("{member}.s3.uri"), &s3.uri)
    } else {
        let custom = given.custom.as_ref();
        let custom = custom.ok_or_else(|| missing(member, "custom"))?;
        Ok(DocumentLocation::Custom {
            id: custom.id.clone(),
        })
    }
}

fn s3_location(member: &str, uri: &str) -> Result<DocumentLocation, Exception> {
    if s3_uri(uri).is_none() {
        return Err(violation(
            member,
            &format!("is {uri}, which is not of the form s3://bucket/key"),
        ));
    }
    Ok(DocumentLocation::S3 {
        uri: uri.to_owned(),
    })
}

/// A document to be taken in.
fn upload(
    member: &str,
    source: ContentDataSourceType,
    given: &KnowledgeBaseDocument,
    new_id: impl FnOnce() -> String,
) -> Result<(DocumentLocation, UploadDoc), Exception> {
    let content = &given.content;
    let place = format!("{member}.content");
    check_type(&place, source, content.data_source_type)?;
    let (location, uploaded) = if source == ContentDataSourceType::S3 {
        let s3 = content.s3.as_ref().ok_or_else(|| missing(&place, "s3"))?;
        let uri = s3.s3_location.uri.as_str();
        let location = s3_location(&format!("{place}.s3.s3Location.uri"), uri)?;
        let uri = uri.to_owned();
        (location, UploadedContent::S3 { uri })
    } else {
        let custom = content.custom.as_ref();
        let custom = custom.ok_or_else(|| missing(&place, "custom"))?;
        let id = custom.custom_document_identifier.id.clone();
        let uploaded = custom_content(&format!("{place}.custom"), custom)?;
        (DocumentLocation::Custom { id }, uploaded)
    };
    let metadata = given.metadata.as_ref();
    let metadata = metadata
        .map(|metadata| uploaded_metadata(&format!("{member}.metadata"), metadata))
        .transpose()?;
    let is_inline = matches!(
        uploaded,
        UploadedContent::Text(_) | UploadedContent::Bytes { .. }
    );
    if is_inline && matches!(metadata, Some(UploadedMetadata::S3 { .. })) {
        return Err(violation(
            &format!("{member}.metadata.type"),
            "is S3_LOCATION, but a document whose content is inline takes its metadata inline too",
        ));
    }
    let upload = UploadDoc {
        id: new_id(),
        content: uploaded,
        metadata,
    };
    Ok((location, upload))
}

fn custom_content(member: &str, given: &CustomContent) -> Result<UploadedContent, Exception> {
    if given.source_type == CustomSourceType::S3Location {
        let s3 = given.s3_location.as_ref();
        let s3 = s3.ok_or_else(|| missing(member, "s3Location"))?;
        s3_location(&format!("{member}.s3Location.uri"), &s3.uri)?;
        Ok(UploadedContent::S3 {
            uri: s3.uri.clone(),
        })
    } else {
        let inline = given.inline_content.as_ref();
        let inline = inline.ok_or_else(|| missing(member, "inlineContent"))?;
        let member = format!("{member}.inlineContent");
        if inline.type_ == InlineContentType::Byte {
            let bytes = inline.byte_content.as_ref();
            let bytes = bytes.ok_or_else(|| missing(&member, "byteContent"))?;
            Ok(UploadedContent::Bytes {
                mime_type: bytes.mime_type.clone(),
                data: bytes.data.clone(),
            })
        } else {
            let text = inline.text_content.as_ref();
            let text = text.ok_or_else(|| missing(&member, "textContent"))?;
            Ok(UploadedContent::Text(text.data.clone()))
        }
    }
}

fn uploaded_metadata(
    member: &str,
    given: &DocumentMetadata,
) -> Result<UploadedMetadata, Exception> {
    if given.access_control_list.is_some() {
        return Err(violation(
            &format!("{member}.accessControlList"),
            "is not supported by Outcrop",
        ));
    }
    if given.type_ == MetadataSourceType::S3Location {
        let s3 = given.s3_location.as_ref();
        let s3 = s3.ok_or_else(|| missing(member, "s3Location"))?;
        s3_location(&format!("{member}.s3Location.uri"), &s3.uri)?;
        Ok(UploadedMetadata::S3 {
            uri: s3.uri.clone(),
        })
    } else {
        let attributes = given.inline_attributes.as_ref();
        let attributes = attributes.ok_or_else(|| missing(member, "inlineAttributes"))?;
        Attributes::inline(attributes).map_err(|cause| {
            violation(&format!("{member}.inlineAttributes"), &cause.to_string())
        })?;
        Ok(UploadedMetadata::Inline(attributes.clone()))
    }
}

fn detail(source: &SourceRef, doc: DocumentDoc) -> KnowledgeBaseDocumentDetail {
    let (data_source_type, s3, custom) = match doc.location {
        DocumentLocation::S3 { uri } => (ContentDataSourceType::S3, Some(S3Location { uri }), None),
        DocumentLocation::Custom { id } | DocumentLocation::Web { url: id } => (
            ContentDataSourceType::Custom,
            None,
            Some(CustomDocumentIdentifier { id }),
        ),
    };
    KnowledgeBaseDocumentDetail {
        data_source_id: source.data_source_id.clone(),
        identifier: DocumentIdentifier {
            custom,
            data_source_type,
            s3,
        },
        knowledge_base_id: source.knowledge_base_id.clone(),
        status: doc.status,
        status_reason: doc.reason,
        updated_at: Some(doc.updated_at),
    }
}
