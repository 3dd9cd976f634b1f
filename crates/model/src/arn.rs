//! Amazon resource names of the resources served here.
//!
//! Only the kinds that code takes apart or puts together now; the partition is kept, since
//! clients of other partitions send theirs. Parsing is exact: an id has ten letters or digits.

use std::fmt;
use std::str::FromStr;

/// Length of the ids of agents, aliases, versions' action groups and the like.
pub const RESOURCE_ID_LEN: usize = 10;

/// `arn:aws:bedrock:<region>:<account>:agent/<agent id>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AgentArn {
    /// `aws`, `aws-cn`, …
    pub partition: String,
    /// The region.
    pub region: String,
    /// Twelve digits.
    pub account_id: String,
    /// The agent.
    pub agent_id: String,
}

/// `arn:aws:bedrock:<region>:<account>:agent-alias/<agent id>/<alias id>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AgentAliasArn {
    /// `aws`, `aws-cn`, …
    pub partition: String,
    /// The region.
    pub region: String,
    /// Twelve digits.
    pub account_id: String,
    /// The agent.
    pub agent_id: String,
    /// Its alias.
    pub alias_id: String,
}

/// `arn:aws:bedrock:<region>:<account>:prompt/<prompt id>`, and `:<version>` of a numbered version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PromptArn {
    /// `aws`, `aws-cn`, …
    pub partition: String,
    /// The region.
    pub region: String,
    /// Twelve digits.
    pub account_id: String,
    /// The prompt.
    pub prompt_id: String,
    /// The version's number; none for the prompt itself, whose DRAFT it then names.
    pub version: Option<String>,
}

/// `arn:aws:bedrock:<region>:<account>:knowledge-base/<knowledge base id>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KnowledgeBaseArn {
    /// `aws`, `aws-cn`, …
    pub partition: String,
    /// The region.
    pub region: String,
    /// Twelve digits.
    pub account_id: String,
    /// The knowledge base.
    pub knowledge_base_id: String,
}

/// A text that is not the ARN it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidArn(String);

impl fmt::Display for InvalidArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an ARN of this kind: {}", self.0)
    }
}

impl std::error::Error for InvalidArn {}

impl AgentArn {
    /// The ARN of an agent in the `aws` partition.
    pub fn new(region: &str, account_id: &str, agent_id: &str) -> Self {
        Self {
            partition: "aws".to_owned(),
            region: region.to_owned(),
            account_id: account_id.to_owned(),
            agent_id: agent_id.to_owned(),
        }
    }
}

impl AgentAliasArn {
    /// The ARN of an alias in the `aws` partition.
    pub fn new(region: &str, account_id: &str, agent_id: &str, alias_id: &str) -> Self {
        Self {
            partition: "aws".to_owned(),
            region: region.to_owned(),
            account_id: account_id.to_owned(),
            agent_id: agent_id.to_owned(),
            alias_id: alias_id.to_owned(),
        }
    }
}

impl PromptArn {
    /// The ARN of a prompt, or of one of its numbered versions, in the `aws` partition.
    pub fn new(region: &str, account_id: &str, prompt_id: &str, version: Option<&str>) -> Self {
        Self {
            partition: "aws".to_owned(),
            region: region.to_owned(),
            account_id: account_id.to_owned(),
            prompt_id: prompt_id.to_owned(),
            version: version.map(str::to_owned),
        }
    }
}

impl KnowledgeBaseArn {
    /// The ARN of a knowledge base in the `aws` partition.
    pub fn new(region: &str, account_id: &str, knowledge_base_id: &str) -> Self {
        Self {
            partition: "aws".to_owned(),
            region: region.to_owned(),
            account_id: account_id.to_owned(),
            knowledge_base_id: knowledge_base_id.to_owned(),
        }
    }
}

impl fmt::Display for AgentArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            region,
            account_id,
            agent_id,
        } = self;
        write!(
            f,
            "arn:{partition}:bedrock:{region}:{account_id}:agent/{agent_id}"
        )
    }
}

impl fmt::Display for AgentAliasArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            region,
            account_id,
            agent_id,
            alias_id,
        } = self;
        write!(
            f,
            "arn:{partition}:bedrock:{region}:{account_id}:agent-alias/{agent_id}/{alias_id}"
        )
    }
}

impl fmt::Display for PromptArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            region,
            account_id,
            prompt_id,
            version,
        } = self;
        write!(
            f,
            "arn:{partition}:bedrock:{region}:{account_id}:prompt/{prompt_id}"
        )?;
        match version {
            Some(version) => write!(f, ":{version}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for KnowledgeBaseArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            region,
            account_id,
            knowledge_base_id,
        } = self;
        write!(
            f,
            "arn:{partition}:bedrock:{region}:{account_id}:knowledge-base/{knowledge_base_id}"
        )
    }
}

impl FromStr for AgentArn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Self, InvalidArn> {
        let invalid = || InvalidArn(text.to_owned());
        let (head, resource) = split(text).ok_or_else(invalid)?;
        let agent_id = resource
            .strip_prefix("agent/")
            .filter(|id| is_resource_id(id))
            .ok_or_else(invalid)?;
        Ok(Self {
            partition: head.partition.to_owned(),
            region: head.region.to_owned(),
            account_id: head.account_id.to_owned(),
            agent_id: agent_id.to_owned(),
        })
    }
}

impl FromStr for AgentAliasArn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Self, InvalidArn> {
        let invalid = || InvalidArn(text.to_owned());
        let (head, resource) = split(text).ok_or_else(invalid)?;
        let (agent_id, alias_id) = resource
            .strip_prefix("agent-alias/")
            .and_then(|ids| ids.split_once('/'))
            .filter(|(agent, alias)| is_resource_id(agent) && is_resource_id(alias))
            .ok_or_else(invalid)?;
        Ok(Self {
            partition: head.partition.to_owned(),
            region: head.region.to_owned(),
            account_id: head.account_id.to_owned(),
            agent_id: agent_id.to_owned(),
            alias_id: alias_id.to_owned(),
        })
    }
}

impl FromStr for PromptArn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Self, InvalidArn> {
        let invalid = || InvalidArn(text.to_owned());
        let (head, resource) = split(text).ok_or_else(invalid)?;
        let named = resource.strip_prefix("prompt/").ok_or_else(invalid)?;
        let (prompt_id, version) = match named.split_once(':') {
            Some((prompt_id, version)) => (prompt_id, Some(version)),
            None => (named, None),
        };
        if !is_resource_id(prompt_id) || !version.is_none_or(is_version_number) {
            return Err(invalid());
        }
        Ok(Self {
            partition: head.partition.to_owned(),
            region: head.region.to_owned(),
            account_id: head.account_id.to_owned(),
            prompt_id: prompt_id.to_owned(),
            version: version.map(str::to_owned),
        })
    }
}

impl FromStr for KnowledgeBaseArn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Self, InvalidArn> {
        let invalid = || InvalidArn(text.to_owned());
        let (head, resource) = split(text).ok_or_else(invalid)?;
        let id = resource
            .strip_prefix("knowledge-base/")
            .filter(|id| is_resource_id(id))
            .ok_or_else(invalid)?;
        Ok(Self {
            partition: head.partition.to_owned(),
            region: head.region.to_owned(),
            account_id: head.account_id.to_owned(),
            knowledge_base_id: id.to_owned(),
        })
    }
}

struct Head<'a> {
    partition: &'a str,
    region: &'a str,
    account_id: &'a str,
}

/// Splits a Bedrock ARN into what precedes the resource and the resource.
fn split(text: &str) -> Option<(Head<'_>, &str)> {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next();
    let (arn, partition, service) = (next()?, next()?, next()?);
    let (region, account_id, resource) = (next()?, next()?, next()?);
    let is_bedrock = arn == "arn" && partition.starts_with("aws") && service == "bedrock";
    let is_account = account_id.len() == 12 && account_id.bytes().all(|b| b.is_ascii_digit());
    let head = Head {
        partition,
        region,
        account_id,
    };
    (is_bedrock && is_account && !region.is_empty()).then_some((head, resource))
}

fn is_resource_id(text: &str) -> bool {
    text.len() == RESOURCE_ID_LEN && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_version_number(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let agent = AgentArn::new("us-west-2", "111111111111", "EITYAHSOCJ");
        let text = "arn:aws:bedrock:us-west-2:111111111111:agent/EITYAHSOCJ";
        assert_eq!(agent.to_string(), text);
        assert_eq!(text.parse(), Ok(agent));

        let alias = AgentAliasArn::new("us-west-2", "111111111111", "EITYAHSOCJ", "TSTALIASID");
        let text = "arn:aws:bedrock:us-west-2:111111111111:agent-alias/EITYAHSOCJ/TSTALIASID";
        assert_eq!(alias.to_string(), text);
        assert_eq!(text.parse(), Ok(alias));
    }

    #[test]
    fn prompts_with_and_without_a_version() {
        for version in [None, Some("1"), Some("99999")] {
            let prompt = PromptArn::new("us-west-2", "111111111111", "EITYAHSOCJ", version);
            let suffix = version.map_or(String::new(), |version| format!(":{version}"));
            let text = format!("arn:aws:bedrock:us-west-2:111111111111:prompt/EITYAHSOCJ{suffix}");
            assert_eq!(prompt.to_string(), text);
            assert_eq!(text.parse(), Ok(prompt));
        }
        for resource in [
            "prompt/EITYAHSOC",
            "prompt/EITYAHSOCJ:",
            "prompt/EITYAHSOCJ:123456",
        ] {
            let text = format!("arn:aws:bedrock:us-west-2:111111111111:{resource}");
            assert!(text.parse::<PromptArn>().is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_the_wrong_kind_and_shape() {
        for text in [
            "",
            "arn:aws:bedrock:us-west-2:111111111111:agent",
            "arn:aws:bedrock:us-west-2:111111111111:agent/EITYAHSOC",
            "arn:aws:bedrock:us-west-2:11111111111a:agent/EITYAHSOCJ",
            "arn:aws:s3:us-west-2:111111111111:agent/EITYAHSOCJ",
            "arn:aws:bedrock:us-west-2:111111111111:agent-alias/EITYAHSOCJ/TSTALIASID",
        ] {
            assert!(text.parse::<AgentArn>().is_err(), "{text}");
        }
        let agent = "arn:aws:bedrock:us-west-2:111111111111:agent/EITYAHSOCJ";
        assert!(agent.parse::<AgentAliasArn>().is_err());
    }
}
