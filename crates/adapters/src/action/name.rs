//! The forms in which an action group names a Lambda function, reduced to one value.
//!
//! Lambda accepts a bare name, `name:qualifier`, a partial ARN (`account:function:name`) and a full
//! ARN. What cannot be read as one of these is kept as a bare name: the registry then reports it as
//! unknown with the text the user wrote, which is more helpful than a complaint about ARN grammar.

/// A function reference taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FunctionName {
    /// The bare name, such as `order-tools`.
    pub(super) name: String,
    /// Version or alias, when the reference has one.
    pub(super) qualifier: Option<String>,
    /// Region of the ARN, else the configured one.
    pub(super) region: String,
    /// Account of the ARN, else the configured one.
    pub(super) account: String,
    /// Partition of the ARN, else `aws`.
    partition: String,
    /// The version that the qualifier stands for, where it is known.
    version: Option<String>,
}

impl FunctionName {
    /// Reads `reference`, filling what it leaves out from the server's own region and account.
    pub(super) fn parse(reference: &str, region: &str, account: &str) -> Self {
        let bare = |name: &str, qualifier: Option<&str>, account: &str| Self {
            name: name.to_owned(),
            qualifier: qualifier.map(str::to_owned),
            region: region.to_owned(),
            account: account.to_owned(),
            partition: "aws".to_owned(),
            version: None,
        };
        let parts: Vec<&str> = reference.split(':').collect();
        match parts.as_slice() {
            [
                "arn",
                partition,
                "lambda",
                region,
                account,
                "function",
                name,
                rest @ ..,
            ] if rest.len() <= 1 => Self {
                name: (*name).to_owned(),
                qualifier: rest.first().map(|qualifier| (*qualifier).to_owned()),
                region: (*region).to_owned(),
                account: (*account).to_owned(),
                partition: (*partition).to_owned(),
                version: None,
            },
            [account, "function", name] => bare(name, None, account),
            [account, "function", name, qualifier] => bare(name, Some(qualifier), account),
            [name, qualifier] => bare(name, Some(qualifier), account),
            _ => bare(reference, None, account),
        }
    }

    /// The full ARN without a qualifier.
    pub(super) fn unqualified_arn(&self) -> String {
        format!(
            "arn:{}:lambda:{}:{}:function:{}",
            self.partition, self.region, self.account, self.name
        )
    }

    /// The full ARN, with the qualifier if there is one: what a handler sees as
    /// `context.invoked_function_arn`.
    pub(super) fn arn(&self) -> String {
        match &self.qualifier {
            Some(qualifier) => format!("{}:{qualifier}", self.unqualified_arn()),
            None => self.unqualified_arn(),
        }
    }

    /// The same name, known to stand for this version.
    pub(super) fn in_version(self, version: Option<String>) -> Self {
        Self { version, ..self }
    }

    /// What a handler sees as `context.function_version`: the version that is known to run, else the
    /// number in the name, else `$LATEST`.
    pub(super) fn version(&self) -> &str {
        if let Some(version) = &self.version {
            return version;
        }
        match self.qualifier.as_deref() {
            Some(qualifier) if qualifier.bytes().all(|byte| byte.is_ascii_digit()) => qualifier,
            Some(_) | None => "$LATEST",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FunctionName;

    fn parse(reference: &str) -> FunctionName {
        FunctionName::parse(reference, "eu-west-1", "000000000000")
    }

    #[test]
    fn every_form_gives_the_same_function() {
        for (reference, arn) in [
            (
                "order-tools",
                "arn:aws:lambda:eu-west-1:000000000000:function:order-tools",
            ),
            (
                "order-tools:7",
                "arn:aws:lambda:eu-west-1:000000000000:function:order-tools:7",
            ),
            (
                "111111111111:function:order-tools",
                "arn:aws:lambda:eu-west-1:111111111111:function:order-tools",
            ),
            (
                "111111111111:function:order-tools:PROD",
                "arn:aws:lambda:eu-west-1:111111111111:function:order-tools:PROD",
            ),
            (
                "arn:aws-cn:lambda:cn-north-1:111111111111:function:order-tools",
                "arn:aws-cn:lambda:cn-north-1:111111111111:function:order-tools",
            ),
            (
                "arn:aws:lambda:us-west-2:111111111111:function:order-tools:$LATEST",
                "arn:aws:lambda:us-west-2:111111111111:function:order-tools:$LATEST",
            ),
        ] {
            let name = parse(reference);
            assert_eq!(
                (name.name.as_str(), name.arn()),
                ("order-tools", arn.to_owned())
            );
        }
    }

    #[test]
    fn only_a_number_is_a_version() {
        assert_eq!(parse("order-tools:7").version(), "7");
        assert_eq!(parse("order-tools:PROD").version(), "$LATEST");
        assert_eq!(parse("order-tools").version(), "$LATEST");
    }

    #[test]
    fn an_unreadable_reference_stays_as_written() {
        assert_eq!(parse("arn:aws:s3:::bucket/x").name, "arn:aws:s3:::bucket/x");
    }
}
