//! Schemas that action groups keep in S3: one signed GET each.
//!
//! Only AWS's S3 is asked, or the one that `AWS_ENDPOINT_URL_S3` names: the buckets of another server
//! of ours are folders on its disk.

use std::env;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{Request, StatusCode};
use outcrop_adapters::http::{self as outbound, Deadline, HttpFailure, Timeouts};
use outcrop_deploy::api::segment;
use outcrop_deploy::pull::Objects;
use outcrop_wire::client::Signer;

use crate::cli::remote::{Remote, aws_endpoint};

/// The variable every AWS tool knows.
const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL_S3";
/// Longest schema, as the engine reads them.
const SCHEMA_BYTES_MAX: usize = 1024 * 1024;
/// Where a bucket really lies, in answers that say it is not here.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// Where buckets are.
pub(super) struct Buckets {
    http: reqwest::Client,
    signer: Signer,
    /// Instead of AWS's own.
    endpoint: Option<String>,
    /// Whether anybody is to be asked.
    is_known: bool,
}

impl Buckets {
    /// The buckets of whoever calls `remote`.
    pub(super) fn new(remote: &Remote) -> Self {
        let endpoint = env::var(ENDPOINT_VARIABLE).ok();
        let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty());
        Self {
            http: remote.http().clone(),
            signer: remote.signer().clone(),
            is_known: remote.is_aws() || endpoint.is_some(),
            endpoint,
        }
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<String, String> {
        if !self.is_known {
            return Err(format!(
                "this server's buckets are not served, and {ENDPOINT_VARIABLE} names no others"
            ));
        }
        let mut region = self.signer.region.clone();
        let mut answer = self.ask(bucket, key, &region).await?;
        if let Some(elsewhere) = answer.region.take().filter(|other| *other != region)
            && !answer.status.is_success()
        {
            region = elsewhere;
            answer = self.ask(bucket, key, &region).await?;
        }
        match answer.status {
            status if status.is_success() => String::from_utf8(answer.body.to_vec())
                .map_err(|_| "the object is not UTF-8".to_owned()),
            StatusCode::NOT_FOUND => Err("there is no such object".to_owned()),
            StatusCode::FORBIDDEN => Err("access to the object is denied".to_owned()),
            status => Err(format!("S3 answered with status {status}")),
        }
    }

    async fn ask(&self, bucket: &str, key: &str, region: &str) -> Result<Answer, String> {
        let request = self.request(bucket, key, region)?;
        let request = reqwest::Request::try_from(request).map_err(|error| error.to_string())?;
        let deadline = Deadline::start(Timeouts::default());
        let exchanged = async {
            let sent = deadline.response(self.http.execute(request)).await?;
            let mut response = sent.map_err(|error| HttpFailure::of(&error))?;
            let region = response.headers().get(BUCKET_REGION);
            Ok::<_, HttpFailure>(Answer {
                region: region.and_then(|region| Some(region.to_str().ok()?.to_owned())),
                status: response.status(),
                body: outbound::read_body(&mut response, SCHEMA_BYTES_MAX, &deadline).await?,
            })
        };
        exchanged
            .await
            .map_err(|error| format!("S3 cannot be reached: {error}"))
    }

    fn url(&self, bucket: &str, key: &str, region: &str) -> String {
        let key: Vec<String> = key.split('/').map(segment).collect();
        let key = key.join("/");
        match &self.endpoint {
            Some(endpoint) => {
                let endpoint = endpoint.trim_end_matches('/');
                format!("{endpoint}/{}/{key}", segment(bucket))
            }
            // A name with dots fits no wildcard certificate.
            None if bucket.contains('.') => {
                format!("{}/{}/{key}", aws_endpoint("s3", region), segment(bucket))
            }
            None => format!("{}/{key}", aws_endpoint(&format!("{bucket}.s3"), region)),
        }
    }

    fn request(&self, bucket: &str, key: &str, region: &str) -> Result<Request<Bytes>, String> {
        let url = self.url(bucket, key, region);
        let identity = Credentials::new(
            &self.signer.access_key_id,
            &self.signer.secret_access_key,
            self.signer.session_token.clone(),
            None,
            "outcrop",
        )
        .into();
        let mut settings = SigningSettings::default();
        // S3 signs paths as they are sent, and wants the hash of the body named.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let mut request = Request::builder()
            .method("GET")
            .uri(&url)
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        let signable =
            SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(&[]));
        let signed = signable.and_then(|signable| sign(signable, &params));
        let (instructions, _) = signed.map_err(|error| error.to_string())?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

impl Objects for Buckets {
    fn text<'a>(&'a self, bucket: &'a str, key: &'a str) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(self.get(bucket, key))
    }
}

struct Answer {
    /// Where the bucket lies.
    region: Option<String>,
    status: StatusCode,
    body: Bytes,
}
