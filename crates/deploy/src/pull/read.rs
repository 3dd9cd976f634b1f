//! Reading: an agent, then whatever its draft and versions name, until nothing new is named.
//!
//! What the agent cannot be understood without must be readable; a knowledge base, a collaborator, a
//! prompt, tags or a schema that the service refuses to show are noted as missing instead.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value, json};

use super::{
    DRAFT, Objects, PullError, Request, Snapshot, Source, SourceAgent, SourceAlias, SourceBase,
    SourcePrompt, SourcePromptVersion, TEST_ALIAS, Tell, clean, scan,
};
use crate::api::{Api, ApiError};
use crate::mapping;

/// Supervisors above supervisors; AWS lets three levels work together.
const DEPTH_MAX: usize = 10;
/// Agents of one pull. A supervisor has at most ten collaborators.
const AGENTS_MAX: usize = 100;
/// Versions of one agent; each costs a dozen calls.
const VERSIONS_MAX: usize = 1_000;
/// Pages of one list, at AWS's smallest page of ten.
const PAGES_MAX: usize = 1_000;
/// A page that asks for the most there can be.
const PAGE_SIZE: u32 = 1_000;

/// Reads what `request` names.
///
/// # Errors
/// [`PullError`]; nothing has been written anywhere.
pub async fn read(
    api: &dyn Api,
    objects: &dyn Objects,
    request: &Request,
    tell: &Tell<'_>,
) -> Result<Source, PullError> {
    let mut reader = Reader {
        api,
        objects,
        tell,
        source: Source::default(),
    };
    let root = reader.find_agent(&request.agent).await?;
    reader.source.root.clone_from(&root);
    let mut known = BTreeSet::from([root.clone()]);
    let mut waiting = VecDeque::from([(root, 1)]);
    while let Some((agent_id, depth)) = waiting.pop_front() {
        let is_root = agent_id == reader.source.root;
        let alias = request.alias.as_deref().filter(|_| is_root);
        match reader.agent(&agent_id, alias).await {
            Ok(agent) => {
                for collaborator in agent.collaborators() {
                    if known.insert(collaborator.clone()) {
                        waiting.push_back((collaborator, depth + 1));
                    }
                }
                reader.source.agents.insert(agent_id, agent);
            }
            Err(PullError::Call { source, .. }) if !is_root && is_refusal(&source) => {
                let text = format!("collaborator {agent_id}: {source}");
                reader.source.notes.missing(text);
            }
            Err(error) => return Err(error),
        }
        let too_deep = depth >= DEPTH_MAX && waiting.iter().any(|(_, depth)| *depth > DEPTH_MAX);
        if too_deep {
            return Err(too_many("levels of supervisors", DEPTH_MAX));
        }
        if known.len() > AGENTS_MAX {
            return Err(too_many("agents", AGENTS_MAX));
        }
    }
    reader.referred().await?;
    Ok(reader.source)
}

fn too_many(what: impl Into<String>, limit: usize) -> PullError {
    PullError::TooMany {
        what: what.into(),
        limit,
    }
}

/// Whether the service understood, and said no to this one thing.
fn is_refusal(error: &ApiError) -> bool {
    match error {
        ApiError::Refused { name, .. } => matches!(
            name.as_str(),
            "ResourceNotFoundException" | "AccessDeniedException" | "ValidationException"
        ),
        ApiError::Lost(_) => false,
    }
}

struct Reader<'a> {
    api: &'a dyn Api,
    objects: &'a dyn Objects,
    tell: &'a Tell<'a>,
    source: Source,
}

impl Reader<'_> {
    async fn call(
        &self,
        what: &str,
        operation: &'static str,
        input: Value,
    ) -> Result<Value, PullError> {
        let answer = self.api.call(operation, input).await;
        answer.map_err(|source| PullError::Call {
            what: what.to_owned(),
            source,
        })
    }

    /// What may be missing; then a note says so.
    async fn optional(
        &mut self,
        what: &str,
        operation: &'static str,
        input: Value,
    ) -> Result<Option<Value>, PullError> {
        let answer = self.call(what, operation, input).await;
        self.or_note(answer)
    }

    fn or_note<T>(&mut self, outcome: Result<T, PullError>) -> Result<Option<T>, PullError> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(PullError::Call { what, source }) if is_refusal(&source) => {
                self.source.notes.missing(format!("{what}: {source}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn list(
        &self,
        what: &str,
        operation: &'static str,
        member: &str,
        mut input: Value,
    ) -> Result<Vec<Value>, PullError> {
        let mut found = Vec::new();
        input["maxResults"] = json!(PAGE_SIZE);
        for _ in 0..PAGES_MAX {
            let mut page = self.call(what, operation, input.clone()).await?;
            if let Some(Value::Array(items)) = page.get_mut(member).map(Value::take) {
                found.extend(items);
            }
            match page.get("nextToken") {
                Some(token @ Value::String(_)) => input["nextToken"] = token.clone(),
                _ => return Ok(found),
            }
        }
        Err(too_many(format!("pages of {what}"), PAGES_MAX))
    }

    async fn tags(&mut self, what: &str, arn: &str) -> Result<Map<String, Value>, PullError> {
        let what = format!("the tags of {what}");
        let input = json!({ "resourceArn": arn });
        let answer = self.optional(&what, "ListTagsForResource", input).await?;
        let mut tags = match answer.map(|mut answer| answer["tags"].take()) {
            Some(Value::Object(tags)) => tags,
            _ => Map::new(),
        };
        let before = tags.len();
        tags.retain(|key, _| !key.starts_with("aws:"));
        if tags.len() < before {
            let text = format!("{what}: those of AWS's own (aws:…) cannot be set by anybody else");
            self.source.notes.missing(text);
        }
        Ok(tags)
    }

    /// An id is tried first; AWS takes no names.
    async fn find_agent(&self, wanted: &str) -> Result<String, PullError> {
        (self.tell)(&format!("looking for the agent {wanted}"));
        let no_such = || PullError::NoSuchName {
            what: "agent",
            name: wanted.to_owned(),
        };
        if is_id(wanted) {
            let answer = self
                .call("the agent", "GetAgent", json!({ "agentId": wanted }))
                .await;
            match answer {
                Ok(answer) => return Ok(text(&answer["agent"], "agentId").to_owned()),
                Err(PullError::Call { source, .. }) if source.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let agents = self
            .list("agents", "ListAgents", "agentSummaries", json!({}))
            .await?;
        let found = agents
            .iter()
            .find(|agent| text(agent, "agentName") == wanted);
        Ok(text(found.ok_or_else(no_such)?, "agentId").to_owned())
    }

    async fn agent(
        &mut self,
        agent_id: &str,
        alias: Option<&str>,
    ) -> Result<SourceAgent, PullError> {
        let input = json!({ "agentId": agent_id });
        let answer = self
            .call(&format!("the agent {agent_id}"), "GetAgent", input.clone())
            .await?;
        let shown = &answer["agent"];
        let name = text(shown, "agentName").to_owned();
        let what = format!("agent {name}");
        (self.tell)(&format!("reading the agent {name} ({agent_id})"));
        let arn = text(shown, "agentArn").to_owned();
        let summaries = self
            .list(
                &format!("the aliases of the {what}"),
                "ListAgentAliases",
                "agentAliasSummaries",
                input.clone(),
            )
            .await?;
        let mut agent = SourceAgent {
            tags: self.tags(&what, &arn).await?,
            ..SourceAgent::default()
        };
        let only = match alias {
            Some(wanted) => Some(find_alias(&summaries, wanted)?),
            None => None,
        };
        if let Some(alias_id) = only.as_deref().filter(|id| *id != TEST_ALIAS) {
            self.served_by(agent_id, alias_id, shown, &what, &mut agent)
                .await?;
        } else {
            self.state(shown, &what, &mut agent);
            agent.draft = self.snapshot(agent_id, DRAFT, shown, &what).await?;
            let test_alias = arn.replacen(":agent/", ":agent-alias/", 1) + "/" + TEST_ALIAS;
            let whose = format!("the test alias of {what}");
            agent.test_alias_tags = self.tags(&whose, &test_alias).await?;
            if only.is_none() {
                self.versions(agent_id, shown, &what, &mut agent).await?;
                self.aliases(agent_id, &summaries, &what, &mut agent)
                    .await?;
            }
        }
        agent.name = name;
        Ok(agent)
    }

    /// The agent as one alias serves it.
    async fn served_by(
        &mut self,
        agent_id: &str,
        alias_id: &str,
        shown: &Value,
        what: &str,
        agent: &mut SourceAgent,
    ) -> Result<(), PullError> {
        let mut alias = self.alias(agent_id, alias_id, what).await?;
        let version = alias.version.take();
        let version = version.ok_or_else(|| PullError::Unrouted(alias_id.to_owned()))?;
        agent.draft = self
            .version(agent_id, &version.to_string(), shown, what)
            .await?;
        agent.is_prepared = true;
        self.source.notes.differs(format!(
            "{what}: the draft is what version {version} holds, which the alias {alias_id} serves; other aliases and versions were not asked for"
        ));
        agent.aliases.insert(alias_id.to_owned(), alias);
        Ok(())
    }

    /// What the states of an agent mean for a copy of it.
    fn state(&mut self, shown: &Value, what: &str, agent: &mut SourceAgent) {
        let status = text(shown, "agentStatus");
        agent.is_prepared = status == "PREPARED";
        if agent.is_prepared {
            return;
        }
        if shown.get("preparedAt").is_some_and(|at| !at.is_null()) {
            self.source.notes.differs(format!(
                "{what}: the draft has been edited since it was prepared ({status}), and the API shows the edited one only; the copy is not prepared"
            ));
        }
        for reason in shown["failureReasons"].as_array().into_iter().flatten() {
            let reason = reason.as_str().unwrap_or_default();
            self.source
                .notes
                .differs(format!("{what}: its status was {status}: {reason}"));
        }
    }

    async fn versions(
        &mut self,
        agent_id: &str,
        shown: &Value,
        what: &str,
        agent: &mut SourceAgent,
    ) -> Result<(), PullError> {
        let summaries = self
            .list(
                &format!("the versions of the {what}"),
                "ListAgentVersions",
                "agentVersionSummaries",
                json!({ "agentId": agent_id }),
            )
            .await?;
        let mut numbers: Vec<u32> = summaries
            .iter()
            .filter_map(|summary| text(summary, "agentVersion").parse().ok())
            .collect();
        numbers.sort_unstable();
        if numbers.len() > VERSIONS_MAX {
            return Err(too_many(format!("versions of the {what}"), VERSIONS_MAX));
        }
        for number in numbers {
            let version = number.to_string();
            let snapshot = self.version(agent_id, &version, shown, what).await?;
            agent.versions.insert(number, snapshot);
        }
        Ok(())
    }

    async fn version(
        &mut self,
        agent_id: &str,
        version: &str,
        draft: &Value,
        what: &str,
    ) -> Result<Snapshot, PullError> {
        let what = format!("{what}, version {version}");
        (self.tell)(&format!("reading the {what}"));
        let input = json!({"agentId": agent_id, "agentVersion": version});
        let answer = self.call(&what, "GetAgentVersion", input).await?;
        let mut shown = answer["agentVersion"].clone();
        // The API shows them of the draft alone, and a version keeps what its agent is.
        for member in ["orchestrationType", "customOrchestration"] {
            let ours = &draft[member];
            if shown.get(member).is_none() && !ours.is_null() && *ours != json!("DEFAULT") {
                shown[member] = ours.clone();
                self.source.notes.differs(format!(
                    "{what}: the API does not show {member} of a version; that of the draft was taken"
                ));
            }
        }
        self.snapshot(agent_id, version, &shown, &what).await
    }

    async fn snapshot(
        &mut self,
        agent_id: &str,
        version: &str,
        shown: &Value,
        what: &str,
    ) -> Result<Snapshot, PullError> {
        let notes = &mut self.source.notes;
        let mut own = clean::definition(&mapping::AGENT, &[], shown, what, notes);
        clean::prompts(&mut own);
        Ok(Snapshot {
            own,
            action_groups: self.parts(&GROUPS, agent_id, version, what).await?,
            knowledge_bases: self.parts(&BASES, agent_id, version, what).await?,
            collaborators: self.parts(&COLLABORATORS, agent_id, version, what).await?,
        })
    }

    async fn parts(
        &mut self,
        part: &Part,
        agent_id: &str,
        version: &str,
        what: &str,
    ) -> Result<Vec<Value>, PullError> {
        let input = json!({"agentId": agent_id, "agentVersion": version});
        let listed = self
            .list(
                &format!("{} of the {what}", part.plural),
                part.list,
                part.summaries,
                input.clone(),
            )
            .await;
        let summaries = self.or_note(listed)?.unwrap_or_default();
        let mut found = Vec::new();
        for summary in summaries {
            let mut input = input.clone();
            input[part.id] = summary[part.id].clone();
            let name = text(&summary, part.name);
            let whose = format!("{} {name} of the {what}", part.singular);
            let mut answer = self.call(&whose, part.get, input).await?;
            let shown = clean::action_group(answer[part.member].take());
            let notes = &mut self.source.notes;
            let definition = clean::definition(part.form, &[], &shown, &whose, notes);
            let made = text(&shown, "createdAt").to_owned();
            found.push(((made, name.to_owned()), Value::Object(definition)));
        }
        // Services list them as they like; the model is shown them in order of their making.
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found.into_iter().map(|(_, value)| value).collect())
    }

    async fn aliases(
        &mut self,
        agent_id: &str,
        summaries: &[Value],
        what: &str,
        agent: &mut SourceAgent,
    ) -> Result<(), PullError> {
        for summary in summaries {
            let alias_id = text(summary, "agentAliasId");
            if alias_id == TEST_ALIAS {
                continue;
            }
            let alias = self.alias(agent_id, alias_id, what).await?;
            let version = alias.version;
            if version.is_some_and(|version| agent.versions.contains_key(&version)) {
                agent.aliases.insert(alias_id.to_owned(), alias);
            } else {
                self.source.notes.missing(format!(
                    "alias {} of {what}: it routes to no version that exists",
                    text(summary, "agentAliasName")
                ));
            }
        }
        Ok(())
    }

    async fn alias(
        &mut self,
        agent_id: &str,
        alias_id: &str,
        what: &str,
    ) -> Result<SourceAlias, PullError> {
        let whose = format!("the alias {alias_id} of {what}");
        let input = json!({"agentId": agent_id, "agentAliasId": alias_id});
        let answer = self.call(&whose, "GetAgentAlias", input).await?;
        let shown = &answer["agentAlias"];
        let notes = &mut self.source.notes;
        let extra = ["aliasInvocationState"];
        let mut definition = clean::definition(&mapping::AGENT_ALIAS, &extra, shown, &whose, notes);
        definition.remove("agentId");
        let version = shown["routingConfiguration"][0]["agentVersion"].as_str();
        let version = version.and_then(|version| version.parse().ok());
        let throughput = shown["routingConfiguration"][0].get("provisionedThroughput");
        if throughput.is_none_or(Value::is_null) {
            definition.remove("routingConfiguration");
        }
        Ok(SourceAlias {
            definition,
            version,
            tags: self.tags(&whose, text(shown, "agentAliasArn")).await?,
        })
    }

    /// Whatever the agents name.
    async fn referred(&mut self) -> Result<(), PullError> {
        let mut bases = BTreeSet::new();
        let mut objects = BTreeSet::new();
        for snapshot in self.source.agents.values().flat_map(SourceAgent::snapshots) {
            let ids = snapshot.knowledge_bases.iter();
            bases.extend(ids.map(|base| text(base, "knowledgeBaseId").to_owned()));
            for group in &snapshot.action_groups {
                let place = &group["apiSchema"]["s3"];
                if place.is_object() {
                    let [bucket, key] = ["s3BucketName", "s3ObjectKey"]
                        .map(|member| text(place, member).to_owned());
                    objects.insert((bucket, key));
                }
            }
        }
        for id in bases {
            if let Some(base) = self.knowledge_base(&id).await? {
                self.source.knowledge_bases.insert(id, base);
            }
        }
        for (bucket, key) in objects {
            (self.tell)(&format!("reading s3://{bucket}/{key}"));
            match self.objects.text(&bucket, &key).await {
                Ok(schema) => {
                    self.source.schemas.insert((bucket, key), schema);
                }
                Err(reason) => self.source.notes.missing(format!(
                    "schema s3://{bucket}/{key}: {reason}; the template names it there, and its functions have no example events"
                )),
            }
        }
        self.prompts().await
    }

    async fn knowledge_base(&mut self, id: &str) -> Result<Option<SourceBase>, PullError> {
        (self.tell)(&format!("reading the knowledge base {id}"));
        let what = format!("knowledge base {id}");
        let input = json!({ "knowledgeBaseId": id });
        let answer = self
            .optional(&what, "GetKnowledgeBase", input.clone())
            .await?;
        let Some(answer) = answer else {
            return Ok(None);
        };
        let shown = &answer["knowledgeBase"];
        let notes = &mut self.source.notes;
        let mut base = SourceBase {
            definition: clean::definition(&mapping::KNOWLEDGE_BASE, &[], shown, &what, notes),
            ..SourceBase::default()
        };
        base.tags = self.tags(&what, text(shown, "knowledgeBaseArn")).await?;
        let whose = format!("the data sources of {what}");
        let listed = self
            .list(&whose, "ListDataSources", "dataSourceSummaries", input)
            .await;
        for summary in self.or_note(listed)?.unwrap_or_default() {
            let name = text(&summary, "name").to_owned();
            let what = format!("data source {name} of {what}");
            let id = &summary["dataSourceId"];
            let input = json!({"knowledgeBaseId": summary["knowledgeBaseId"], "dataSourceId": id});
            if let Some(answer) = self.optional(&what, "GetDataSource", input).await? {
                let shown = &answer["dataSource"];
                let notes = &mut self.source.notes;
                let mut source = clean::definition(&mapping::DATA_SOURCE, &[], shown, &what, notes);
                source.remove("knowledgeBaseId");
                base.data_sources.insert(name, source);
            }
        }
        Ok(Some(base))
    }

    async fn prompts(&mut self) -> Result<(), PullError> {
        let mut wanted: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        let mut note = |text: &str| {
            if let Some(arn) = scan::prompt(text) {
                wanted
                    .entry(arn.id.to_owned())
                    .or_default()
                    .extend(arn.version);
            }
        };
        for snapshot in self.source.agents.values().flat_map(SourceAgent::snapshots) {
            scan::texts_of(&snapshot.own, &mut note);
        }
        for base in self.source.knowledge_bases.values() {
            scan::texts_of(&base.definition, &mut note);
            for source in base.data_sources.values() {
                scan::texts_of(source, &mut note);
            }
        }
        for (id, versions) in wanted {
            (self.tell)(&format!("reading the prompt {id}"));
            let Some((definition, tags)) = self.prompt(&id, None).await? else {
                continue;
            };
            let mut prompt = SourcePrompt {
                definition,
                tags,
                ..SourcePrompt::default()
            };
            for number in versions {
                if let Some((definition, tags)) = self.prompt(&id, Some(number)).await? {
                    let version = SourcePromptVersion { definition, tags };
                    prompt.versions.insert(number, version);
                }
            }
            self.source.prompts.insert(id, prompt);
        }
        Ok(())
    }

    async fn prompt(
        &mut self,
        id: &str,
        version: Option<u32>,
    ) -> Result<Option<(Map<String, Value>, Map<String, Value>)>, PullError> {
        let mut what = format!("prompt {id}");
        let mut input = json!({ "promptIdentifier": id });
        if let Some(version) = version {
            what = format!("{what}, version {version}");
            input["promptVersion"] = json!(version.to_string());
        }
        let Some(shown) = self.optional(&what, "GetPrompt", input).await? else {
            return Ok(None);
        };
        let notes = &mut self.source.notes;
        let definition = clean::definition(&mapping::PROMPT, &[], &shown, &what, notes);
        let tags = self.tags(&what, text(&shown, "arn")).await?;
        Ok(Some((definition, tags)))
    }
}

/// One list of an agent's parts, and how it is read.
struct Part {
    singular: &'static str,
    plural: &'static str,
    form: &'static mapping::Form,
    list: &'static str,
    summaries: &'static str,
    get: &'static str,
    member: &'static str,
    id: &'static str,
    name: &'static str,
}

const GROUPS: Part = Part {
    singular: "action group",
    plural: "the action groups",
    form: &mapping::ACTION_GROUP,
    list: "ListAgentActionGroups",
    summaries: "actionGroupSummaries",
    get: "GetAgentActionGroup",
    member: "agentActionGroup",
    id: "actionGroupId",
    name: "actionGroupName",
};
const BASES: Part = Part {
    singular: "knowledge base",
    plural: "the knowledge bases",
    form: &mapping::KNOWLEDGE_BASE_ASSOCIATION,
    list: "ListAgentKnowledgeBases",
    summaries: "agentKnowledgeBaseSummaries",
    get: "GetAgentKnowledgeBase",
    member: "agentKnowledgeBase",
    id: "knowledgeBaseId",
    name: "knowledgeBaseId",
};
const COLLABORATORS: Part = Part {
    singular: "collaborator",
    plural: "the collaborators",
    form: &mapping::COLLABORATOR,
    list: "ListAgentCollaborators",
    summaries: "agentCollaboratorSummaries",
    get: "GetAgentCollaborator",
    member: "agentCollaborator",
    id: "collaboratorId",
    name: "collaboratorName",
};

impl SourceAgent {
    /// The draft and all versions.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        std::iter::once(&self.draft).chain(self.versions.values())
    }

    /// Ids of the agents that work for this one, or for a version of it.
    pub(super) fn collaborators(&self) -> BTreeSet<String> {
        let all = self
            .snapshots()
            .flat_map(|snapshot| &snapshot.collaborators);
        all.filter_map(|collaborator| {
            let arn = text(&collaborator["agentDescriptor"], "aliasArn");
            scan::alias(arn).map(|(agent, _)| agent.to_owned())
        })
        .collect()
    }
}

fn find_alias(summaries: &[Value], wanted: &str) -> Result<String, PullError> {
    let by = |member: &str| {
        let mut all = summaries.iter();
        all.find(|alias| text(alias, member) == wanted)
    };
    let found = by("agentAliasId").or_else(|| by("agentAliasName"));
    let found = found.ok_or_else(|| PullError::NoSuchName {
        what: "alias",
        name: wanted.to_owned(),
    })?;
    Ok(text(found, "agentAliasId").to_owned())
}

/// A text member; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value
        .get(member)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Ten letters and digits.
fn is_id(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
