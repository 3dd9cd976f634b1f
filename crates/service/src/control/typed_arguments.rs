//! Arguments as JSON: the tag `outcrop:typed-arguments` of an agent names the action groups whose
//! Lambda functions are given typed values in place of AWS's strings.
//!
//! A tag, since action groups have no member for it, and a template that carries it deploys to AWS
//! unchanged. It counts from the next `PrepareAgent` on, as all else that makes up an agent.

use outcrop_model::control::AgentActionGroup;
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;

use super::tags_key;
use crate::records::TagsDoc;
use crate::{Service, scope};

/// The tag. Its value is the names of groups, separated by spaces; tags know no commas.
const TAG: &str = "outcrop:typed-arguments";
/// The value that means all groups. No group can be called so.
const ALL: &str = ":all";

/// Which groups want JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TypedGroups {
    names: Vec<String>,
}

impl Service {
    /// The groups that the tag of the agent names.
    pub(super) async fn typed_groups(
        &self,
        cx: &CallContext,
        agent_arn: &str,
    ) -> Result<TypedGroups, Exception> {
        let tags = self
            .load::<TagsDoc>(tags_key(&scope(cx), agent_arn))
            .await?;
        let value = tags.and_then(|mut tags| tags.body.tags.remove(TAG));
        Ok(TypedGroups::read(&value.unwrap_or_default()))
    }
}

impl TypedGroups {
    fn read(value: &str) -> Self {
        Self {
            names: value.split_whitespace().map(ToOwned::to_owned).collect(),
        }
    }

    /// Whether the group wants JSON.
    pub(super) fn has(&self, group: &str) -> bool {
        self.names.iter().any(|name| name == ALL || name == group)
    }

    /// Refuses a name that no group has: misspelt, it would be without effect.
    pub(super) fn check(&self, groups: &[AgentActionGroup]) -> Result<(), Exception> {
        let known: Vec<&str> = groups
            .iter()
            .map(|group| group.action_group_name.as_str())
            .collect();
        let unknown = self
            .names
            .iter()
            .find(|name| *name != ALL && !known.contains(&name.as_str()));
        let Some(unknown) = unknown else {
            return Ok(());
        };
        let expected = if known.is_empty() {
            "the agent has none".to_owned()
        } else {
            format!("expected {ALL} or some of {}", known.join(", "))
        };
        Err(Exception::validation(format!(
            "The tag {TAG} names {unknown}, which is no action group of the agent; {expected}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::TypedGroups;

    #[test]
    fn the_tag_names_groups_or_all_of_them() {
        let some = TypedGroups::read(" Orders  Claims");
        assert!(some.has("Orders") && some.has("Claims") && !some.has("Others"));
        assert!(TypedGroups::read(":all").has("Others"));
        assert!(!TypedGroups::read("").has("Orders"));
        assert!(some.check(&[]).is_err());
        assert!(TypedGroups::read(":all").check(&[]).is_ok());
    }
}
