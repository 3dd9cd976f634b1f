//! What AWS's API cannot ask of a knowledge base.

use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use serde_json::{Value, json};

use crate::Service;
use crate::knowledge::retrieve::by_words;

pub use crate::knowledge::retrieve::WordSearch;

impl Service {
    /// Searches a knowledge base by words alone; the results are those of `Retrieve`.
    ///
    /// # Errors
    /// As `Retrieve`, and `ValidationException` where its index has no words.
    pub async fn search_by_words(
        &self,
        cx: &CallContext,
        knowledge_base: &str,
        asked: WordSearch,
    ) -> Result<Value, Exception> {
        let place = (cx.account_id.as_str(), cx.region.as_str());
        let results = by_words(&self.ports, place, knowledge_base, asked).await?;
        Ok(json!({ "retrievalResults": results }))
    }
}
