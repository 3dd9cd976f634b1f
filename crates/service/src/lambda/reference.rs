//! The ways in which clients name a function, reduced to one value.
//!
//! A bare name, `name:qualifier`, `account:function:name`, and a full ARN; the qualifier may also come
//! beside it.

use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;

use super::invalid;

/// Lambda's limit of a function's name without what stands around it.
const NAME_CHARS_MAX: usize = 64;

/// A function as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) name: String,
    /// A version or an alias.
    pub(super) qualifier: Option<String>,
    partition: String,
    region: String,
    account_id: String,
}

impl Reference {
    /// Reads a function's name, whatever its form, and the qualifier given beside it.
    ///
    /// # Errors
    /// The two disagree about the qualifier, or the name is none.
    pub(super) fn read(
        cx: &CallContext,
        text: &str,
        qualifier: Option<&str>,
    ) -> Result<Self, Exception> {
        let mut reference = Self::parse(cx, text)
            .ok_or_else(|| invalid(format!("{text} is no name or ARN of a function.")))?;
        if reference.name.chars().count() > NAME_CHARS_MAX {
            return Err(Exception::validation(format!(
                "1 validation error detected: Value '{}' at 'functionName' failed to satisfy constraint: \
                 Member must have length less than or equal to {NAME_CHARS_MAX}",
                reference.name
            )));
        }
        match (&reference.qualifier, qualifier) {
            (Some(own), Some(given)) if own != given => Err(invalid(
                "The derived qualifier from the function name does not match the specified qualifier.",
            )),
            (None, Some(given)) => {
                reference.qualifier = Some(given.to_owned());
                Ok(reference)
            }
            _ => Ok(reference),
        }
    }

    fn parse(cx: &CallContext, text: &str) -> Option<Self> {
        let mut parts: Vec<&str> = text.split(':').collect();
        let mut partition = "aws";
        let mut region = cx.region.as_str();
        let mut account_id = cx.account_id.as_str();
        if let ["arn", of, "lambda", rest @ ..] = parts.as_slice() {
            partition = of;
            parts = rest.to_vec();
        }
        // A name is followed by at most a qualifier, and preceded by at most these three.
        if let Some(place) = parts.iter().position(|part| *part == "function") {
            match parts.get(..place)? {
                [] => {}
                [account] => account_id = account,
                [of, account] => {
                    region = of;
                    account_id = account;
                }
                _ => return None,
            }
            parts.drain(..=place);
        }
        let (name, qualifier) = match parts.as_slice() {
            [name] => (*name, None),
            [name, qualifier] => (*name, Some((*qualifier).to_owned())),
            _ => return None,
        };
        (!name.is_empty()).then(|| Self {
            name: name.to_owned(),
            qualifier,
            partition: partition.to_owned(),
            region: region.to_owned(),
            account_id: account_id.to_owned(),
        })
    }

    /// The same function under another qualifier.
    pub(super) fn with_qualifier(&self, qualifier: &str) -> Self {
        Self {
            qualifier: Some(qualifier.to_owned()),
            ..self.clone()
        }
    }

    /// The function itself.
    pub(super) fn without_qualifier(self) -> Self {
        Self {
            qualifier: None,
            ..self
        }
    }

    /// The function's ARN without a qualifier.
    pub(super) fn unqualified_arn(&self) -> String {
        format!(
            "arn:{}:lambda:{}:{}:function:{}",
            self.partition, self.region, self.account_id, self.name
        )
    }

    /// The ARN, with the qualifier if there is one.
    pub(super) fn arn(&self) -> String {
        match &self.qualifier {
            Some(qualifier) => format!("{}:{qualifier}", self.unqualified_arn()),
            None => self.unqualified_arn(),
        }
    }

    /// The account in which the function would be.
    pub(super) fn account_id(&self) -> &str {
        &self.account_id
    }

    /// The region in which the function would be.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// Whether the function would be one of the caller's account and region.
    pub(super) fn is_of(&self, cx: &CallContext) -> bool {
        self.account_id == cx.account_id && self.region == cx.region
    }
}

/// Whether a qualifier is the number of a version.
pub(super) fn is_number(qualifier: &str) -> bool {
    !qualifier.is_empty() && qualifier.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx() -> CallContext {
        CallContext {
            request_id: String::new(),
            account_id: "111111111111".to_owned(),
            region: "us-west-2".to_owned(),
            host: None,
        }
    }

    #[test]
    fn every_form_gives_the_same_function() {
        for (text, qualifier, arn) in [
            (
                "tools",
                None,
                "arn:aws:lambda:us-west-2:111111111111:function:tools",
            ),
            (
                "tools:7",
                None,
                "arn:aws:lambda:us-west-2:111111111111:function:tools:7",
            ),
            (
                "tools",
                Some("PROD"),
                "arn:aws:lambda:us-west-2:111111111111:function:tools:PROD",
            ),
            (
                "tools:PROD",
                Some("PROD"),
                "arn:aws:lambda:us-west-2:111111111111:function:tools:PROD",
            ),
            (
                "function:tools",
                None,
                "arn:aws:lambda:us-west-2:111111111111:function:tools",
            ),
            (
                "111111111111:function:tools:1",
                None,
                "arn:aws:lambda:us-west-2:111111111111:function:tools:1",
            ),
            (
                "arn:aws-cn:lambda:cn-north-1:222222222222:function:tools:$LATEST",
                None,
                "arn:aws-cn:lambda:cn-north-1:222222222222:function:tools:$LATEST",
            ),
        ] {
            let reference = Reference::read(&cx(), text, qualifier).expect(text);
            assert_eq!(
                (reference.name.as_str(), reference.arn().as_str()),
                ("tools", arn)
            );
        }
        for text in ["", "a:b:c", "arn:aws:s3:::bucket", "a:b:c:function:tools"] {
            Reference::read(&cx(), text, None).expect_err(text);
        }
        Reference::read(&cx(), "tools:1", Some("2")).expect_err("two qualifiers");
        Reference::read(&cx(), &"a".repeat(65), None).expect_err("a long name");
    }
}
