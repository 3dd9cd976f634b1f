//! Against sites on this machine: the tests of what is polite, what is in scope and what ends.

mod manners;
mod pages;
mod parts;
mod site;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use outcrop_engine::port::{CrawlEvent, Crawler};
use outcrop_model::control::WebDataSourceConfiguration;
use reqwest::Url;
use serde_json::{Value, json};

use super::{Pace, WebCrawler};
use crate::http::Timeouts;
use crate::http::egress::Egress;

fn crawler(allow: &[&str]) -> WebCrawler {
    let rules = allow.iter().map(|rule| rule.parse().expect("a rule"));
    WebCrawler {
        pace: Pace {
            minute: Duration::from_millis(300),
            retry: Duration::from_millis(5),
            timeouts: Timeouts {
                connect: Duration::from_secs(5),
                response: Duration::from_millis(300),
                idle: Duration::from_secs(5),
                overall: Duration::from_secs(10),
            },
        },
        ..WebCrawler::new(Egress::new(rules.collect()))
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write the JSON in place"
)]
fn configuration(seeds: &[String], crawler: Value) -> Arc<WebDataSourceConfiguration> {
    let seeds: Vec<Value> = seeds.iter().map(|url| json!({"url": url})).collect();
    let configuration = json!({
        "sourceConfiguration": {"urlConfiguration": {"seedUrls": seeds}},
        "crawlerConfiguration": crawler,
    });
    Arc::new(serde_json::from_value(configuration).expect("it has the API's shape"))
}

/// The paths of the pages, the failures, and how it ended.
async fn crawl(
    seeds: &[String],
    settings: Value,
) -> (Vec<String>, Vec<(String, String, bool)>, Option<String>) {
    let mut pages = Vec::new();
    let mut failures = Vec::new();
    let mut end = None;
    let mut stream = crawler(&["127.0.0.1"]).crawl(configuration(seeds, settings));
    while let Some(event) = stream.next().await {
        match event {
            Ok(CrawlEvent::Page(page)) => {
                let url: Url = page.url.parse().expect("a URL");
                pages.push(url[url::Position::BeforePath..].to_owned());
            }
            Ok(CrawlEvent::Failed { url, reason, hides }) => {
                let url: Url = url.parse().expect("a URL");
                failures.push((url.path().to_owned(), reason, hides));
            }
            Err(error) => end = Some(error.to_string()),
        }
    }
    pages.sort();
    (pages, failures, end)
}
