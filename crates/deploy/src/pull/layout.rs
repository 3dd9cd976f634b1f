//! From what was read to resources of a template: names, references in place of ids and ARNs, and
//! long texts in files.
//!
//! A reference never closes a circle: an agent that works for an agent it supervises is named by its
//! ARN instead, which is known beforehand because ids are kept.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::names::Names;
use super::read::text;
use super::{Notes, Snapshot, Source, SourceAgent, TEST_ALIAS, scan};
use crate::mapping::{self, Form};
use crate::scaffold::{ActionGroupUse, Events, HANDLER_NAME, Uses};

/// The tag that fixes an id at creation.
const ID_TAG: &str = "outcrop:id";

/// A resource of the template.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    /// The stack it belongs to where each agent is a stack of its own.
    pub(super) stack: String,
    pub(super) logical: String,
    pub(super) type_name: &'static str,
    pub(super) properties: Map<String, Value>,
}

/// All that a folder is made of.
pub(super) struct Layout<'a> {
    source: &'a Source,
    /// Makes example events for the stubs of a folder. Without it there is no folder: functions stay
    /// where they are, texts stay inside, and each agent is a stack of its own.
    events: Option<&'a dyn Events>,
    pub(super) names: Names,
    /// Logical ids of agents.
    agents: BTreeMap<&'a str, String>,
    /// Logical ids of aliases.
    aliases: BTreeMap<(&'a str, &'a str), String>,
    /// Logical ids of knowledge bases.
    bases: BTreeMap<&'a str, String>,
    /// Logical ids of prompts and their versions.
    prompts: BTreeMap<(&'a str, Option<u32>), String>,
    /// Lambda functions by name: logical id, and what calls them.
    pub(super) functions: BTreeMap<String, (String, Uses)>,
    /// Agents whose resources stand already, which may be referred to.
    placed: BTreeSet<&'a str>,
    /// The stack that resources are being added to.
    stack: String,
    /// What other stacks refer to: the stack, the name of the export, the resource whose ARN it is.
    pub(super) exports: Vec<(String, String, String)>,
    pub(super) resources: Vec<Resource>,
    pub(super) notes: Notes,
}

/// Where a value stands that may refer to something.
#[derive(Clone, Copy)]
enum Place {
    /// In an agent or a version of one.
    Agent,
    /// In what agents refer to: prompts, knowledge bases, data sources.
    Below,
}

impl<'a> Layout<'a> {
    pub(super) fn new(source: &'a Source, events: Option<&'a dyn Events>) -> Self {
        let mut layout = Self {
            source,
            events,
            names: Names::default(),
            agents: BTreeMap::new(),
            aliases: BTreeMap::new(),
            bases: BTreeMap::new(),
            prompts: BTreeMap::new(),
            functions: BTreeMap::new(),
            placed: BTreeSet::new(),
            stack: String::new(),
            exports: Vec::new(),
            resources: Vec::new(),
            notes: source.notes.clone(),
        };
        layout.name();
        layout.knowledge_bases();
        layout.prompts();
        for agent_id in in_order(source) {
            layout.agent(agent_id);
            layout.placed.insert(agent_id);
        }
        layout.declare_functions();
        layout
    }

    /// Logical ids, before anything refers to them.
    fn name(&mut self) {
        let root = self.source.agents.get_key_value(&self.source.root);
        let others = self.source.agents.iter();
        let others = others.filter(|(id, _)| **id != self.source.root);
        for (id, agent) in root.into_iter().chain(others) {
            self.agents
                .insert(id, self.names.logical(&[&agent.name, "Agent"]));
            for (alias_id, alias) in &agent.aliases {
                let name = definition_text(&alias.definition, "agentAliasName");
                let logical = self.names.logical(&[&agent.name, name, "Alias"]);
                self.aliases.insert((id, alias_id), logical);
            }
        }
        for (id, base) in &self.source.knowledge_bases {
            let name = definition_text(&base.definition, "name");
            let logical = self.names.logical(&[name, "KnowledgeBase"]);
            self.bases.insert(id, logical);
        }
        let mut prompts: Vec<_> = self.source.prompts.iter().collect();
        prompts.sort_by_key(|(_, prompt)| definition_text(&prompt.definition, "name"));
        for (id, prompt) in prompts {
            let name = definition_text(&prompt.definition, "name");
            self.prompts
                .insert((id, None), self.names.logical(&[name, "Prompt"]));
            for number in prompt.versions.keys() {
                let logical = self.names.logical(&[name, "PromptVersion"]);
                self.prompts.insert((id, Some(*number)), logical);
            }
        }
    }

    fn add(
        &mut self,
        logical: &str,
        type_name: &'static str,
        form: &Form,
        definition: Map<String, Value>,
    ) {
        if let Value::Object(properties) = mapping::to_template(form, &Value::Object(definition)) {
            self.resources.push(Resource {
                stack: self.stack.clone(),
                logical: logical.to_owned(),
                type_name,
                properties,
            });
        }
    }

    fn knowledge_bases(&mut self) {
        let source = self.source;
        for (id, base) in &source.knowledge_bases {
            self.stack = format!("pulled-knowledge-base-{id}");
            let logical = self.bases[id.as_str()].clone();
            let mut definition = base.definition.clone();
            self.refer_all(&mut definition, Place::Below);
            definition.insert("tags".to_owned(), tags(&base.tags, Some(id)));
            let type_name = "AWS::Bedrock::KnowledgeBase";
            self.add(&logical, type_name, &mapping::KNOWLEDGE_BASE, definition);
            let base_name = definition_text(&base.definition, "name");
            for (name, source) in &base.data_sources {
                let mut definition = source.clone();
                self.refer_all(&mut definition, Place::Below);
                let parent = attribute(&logical, "KnowledgeBaseId");
                definition.insert("knowledgeBaseId".to_owned(), parent);
                let logical = self.names.logical(&[base_name, name, "DataSource"]);
                let type_name = "AWS::Bedrock::DataSource";
                self.add(&logical, type_name, &mapping::DATA_SOURCE, definition);
                for function in functions_of(source) {
                    let text = format!("Transforms what the data source {name} reads.");
                    self.used(&function).others.push(text);
                }
            }
        }
    }

    fn prompts(&mut self) {
        let source = self.source;
        let mut named = self.prompts.clone().into_iter().collect::<Vec<_>>();
        named.sort_by(|(_, one), (_, other)| one.cmp(other));
        for ((id, version), logical) in named {
            self.stack = format!("pulled-prompt-{id}");
            let export = export_of(id, version);
            self.exports
                .push((self.stack.clone(), export, logical.clone()));
            let prompt = &source.prompts[id];
            let name = definition_text(&prompt.definition, "name");
            let Some(number) = version else {
                let mut definition = prompt.definition.clone();
                self.refer_all(&mut definition, Place::Below);
                self.texts_of_variants(name, &mut definition);
                definition.insert("tags".to_owned(), tags(&prompt.tags, Some(id)));
                self.add(
                    &logical,
                    "AWS::Bedrock::Prompt",
                    &mapping::PROMPT,
                    definition,
                );
                continue;
            };
            let Some(cut) = prompt.versions.get(&number) else {
                continue;
            };
            self.notes.differs(format!(
                "prompt {name}: the versions that are referred to are cut anew and numbered from 1"
            ));
            let body = |definition: &Map<String, Value>| {
                let mut body = definition.clone();
                body.remove("description");
                body
            };
            if body(&cut.definition) != body(&prompt.definition) {
                self.notes.differs(format!(
                    "prompt {name}: a version that is referred to was cut before the draft was edited; in the copy it holds what the draft holds"
                ));
            }
            let parent = self.prompts[&(id, None)].clone();
            let mut definition =
                Map::from_iter([("promptArn".to_owned(), attribute(&parent, "Arn"))]);
            if let Some(description) = cut.definition.get("description") {
                definition.insert("description".to_owned(), description.clone());
            }
            if !cut.tags.is_empty() {
                definition.insert("tags".to_owned(), tags(&cut.tags, None));
            }
            let type_name = "AWS::Bedrock::PromptVersion";
            self.add(&logical, type_name, &mapping::PROMPT_VERSION, definition);
        }
    }

    fn texts_of_variants(&mut self, prompt: &str, definition: &mut Map<String, Value>) {
        let variants = definition.get_mut("variants").and_then(Value::as_array_mut);
        for variant in variants.into_iter().flatten() {
            let name = text(variant, "name").to_owned();
            let place = variant.pointer_mut("/templateConfiguration/text/text");
            self.write_file(place, "prompts", &[prompt, &name], None, Kind::Prompt);
        }
    }

    fn agent(&mut self, agent_id: &'a str) {
        let source = self.source;
        self.stack = format!("pulled-agent-{agent_id}");
        let agent = &source.agents[agent_id];
        let logical = self.agents[agent_id].clone();
        let mut definition = self.snapshot(agent_id, agent, &agent.draft, None);
        definition.insert("tags".to_owned(), tags(&agent.tags, Some(agent_id)));
        if !agent.test_alias_tags.is_empty() {
            let tags = tags(&agent.test_alias_tags, None);
            definition.insert("testAliasTags".to_owned(), tags);
        }
        if agent.is_prepared {
            definition.insert("autoPrepare".to_owned(), Value::Bool(true));
        }
        self.add(&logical, "AWS::Bedrock::Agent", &mapping::AGENT, definition);

        let mut versions = BTreeMap::new();
        for (number, snapshot) in &agent.versions {
            let mut definition = self.snapshot(agent_id, agent, snapshot, Some(*number));
            definition.insert("agentId".to_owned(), attribute(&logical, "AgentId"));
            definition.insert("version".to_owned(), json!(number.to_string()));
            let number_text = format!("Version{number}");
            let version = self.names.logical(&[&agent.name, &number_text]);
            let type_name = mapping::AGENT_VERSION_TYPE;
            self.add(&version, type_name, &mapping::AGENT_VERSION, definition);
            versions.insert(*number, version);
        }
        let mut aliases: Vec<_> = agent.aliases.iter().collect();
        aliases.sort_by_key(|(_, alias)| definition_text(&alias.definition, "agentAliasName"));
        for (alias_id, alias) in aliases {
            let mut definition = alias.definition.clone();
            let routing = definition.remove("routingConfiguration");
            if let Some(version) = alias.version.and_then(|number| versions.get(&number)) {
                let mut item = json!({ "agentVersion": attribute(version, "Version") });
                if let Some(throughput) = routing
                    .as_ref()
                    .and_then(|routing| routing[0].get("provisionedThroughput"))
                {
                    item["provisionedThroughput"] = throughput.clone();
                }
                definition.insert("routingConfiguration".to_owned(), json!([item]));
            }
            definition.insert("agentId".to_owned(), attribute(&logical, "AgentId"));
            definition.insert("tags".to_owned(), tags(&alias.tags, Some(alias_id)));
            let logical = self.aliases[&(agent_id, alias_id.as_str())].clone();
            let type_name = "AWS::Bedrock::AgentAlias";
            self.add(&logical, type_name, &mapping::AGENT_ALIAS, definition);
        }
    }

    /// The definition of a draft or a version.
    fn snapshot(
        &mut self,
        agent_id: &str,
        agent: &SourceAgent,
        snapshot: &Snapshot,
        version: Option<u32>,
    ) -> Map<String, Value> {
        let mut definition = snapshot.own.clone();
        self.own_functions(agent_id, &agent.name, &definition);
        self.refer_all(&mut definition, Place::Agent);
        let prompts = definition
            .get_mut("promptOverrideConfiguration")
            .and_then(|overrides| overrides.get_mut("promptConfigurations"))
            .and_then(Value::as_array_mut);
        for prompt in prompts.into_iter().flatten() {
            let kind = text(prompt, "promptType").to_lowercase();
            let place = prompt.get_mut("basePromptTemplate");
            self.write_file(
                place,
                "prompts",
                &[&agent.name, &kind],
                version,
                Kind::Prompt,
            );
        }
        let groups: Vec<Value> = snapshot
            .action_groups
            .iter()
            .map(|group| self.action_group(agent_id, &agent.name, group, version))
            .collect();
        let bases: Vec<Value> = snapshot
            .knowledge_bases
            .iter()
            .map(|base| {
                let mut base = base.clone();
                let logical = self.bases.get(text(&base, "knowledgeBaseId"));
                // In another stack it is known by its id.
                if let Some(logical) = logical.filter(|_| self.events.is_some()) {
                    base["knowledgeBaseId"] = attribute(logical, "KnowledgeBaseId");
                }
                base
            })
            .collect();
        let mut collaborators = snapshot.collaborators.clone();
        for collaborator in &mut collaborators {
            self.refer(collaborator, Place::Agent);
        }
        let lists = [
            ("actionGroups", groups),
            ("knowledgeBases", bases),
            ("agentCollaborators", collaborators),
        ];
        for (member, list) in lists {
            if !list.is_empty() {
                definition.insert(member.to_owned(), Value::Array(list));
            }
        }
        definition
    }

    /// Functions that the agent itself calls: its parser, its orchestrator.
    fn own_functions(&mut self, agent_id: &str, name: &str, own: &Map<String, Value>) {
        let overrides = own.get("promptOverrideConfiguration");
        if let Some(overrides) = overrides
            && let Some(function) = scan::function(text(overrides, "overrideLambda"))
        {
            let prompts = overrides["promptConfigurations"].as_array();
            let overridden = prompts.into_iter().flatten().filter_map(|prompt| {
                let is_parsed = text(prompt, "parserMode") == "OVERRIDDEN";
                is_parsed.then(|| text(prompt, "promptType").to_owned())
            });
            let overridden: Vec<String> = overridden.collect();
            let key = (name.to_owned(), agent_id.to_owned());
            let parses = &mut self.used(function.name).parses;
            let known = parses.entry(key).or_default();
            for prompt in overridden {
                if !known.contains(&prompt) {
                    known.push(prompt);
                }
            }
        }
        let orchestrator = own
            .get("customOrchestration")
            .map_or("", |custom| text(&custom["executor"], "lambda"));
        if let Some(function) = scan::function(orchestrator) {
            let sentence = format!("Decides each step of the agent {name} (custom orchestration).");
            let others = &mut self.used(function.name).others;
            if !others.contains(&sentence) {
                others.push(sentence);
            }
        }
    }

    fn action_group(
        &mut self,
        agent_id: &str,
        agent_name: &str,
        group: &Value,
        version: Option<u32>,
    ) -> Value {
        let mut group = group.clone();
        let name = text(&group, "actionGroupName").to_owned();
        let place = &group["apiSchema"]["s3"];
        let place = [text(place, "s3BucketName"), text(place, "s3ObjectKey")].map(str::to_owned);
        if let Some(schema) = self.source.schemas.get(&place.clone().into()) {
            let [bucket, key] = place;
            group["apiSchema"] = json!({ "payload": schema });
            self.notes.differs(format!(
                "action group {name} of agent {agent_name}: its schema was read from s3://{bucket}/{key} and is part of the copy"
            ));
        }
        let executor = text(&group["actionGroupExecutor"], "lambda");
        if let (Some(events), Some(function)) = (self.events, scan::function(executor)) {
            let given = ActionGroupUse {
                agent_id,
                agent_name,
                group: &group,
            };
            let operations = events.operations(&given);
            let uses = self.used(function.name);
            match operations {
                Ok(operations) => operations
                    .into_iter()
                    .for_each(|operation| uses.add(&name, operation)),
                Err(reason) => self.notes.missing(format!(
                    "action group {name} of agent {agent_name}: no example events for its function: {reason}"
                )),
            }
        }
        self.refer(&mut group, Place::Agent);
        let payload = group.pointer_mut("/apiSchema/payload");
        self.write_file(
            payload,
            "schemas",
            &[agent_name, &name],
            version,
            Kind::Schema,
        );
        group
    }

    /// Puts a text into a file, and the file's name in its place.
    fn write_file(
        &mut self,
        place: Option<&mut Value>,
        folder: &str,
        parts: &[&str],
        version: Option<u32>,
        kind: Kind,
    ) {
        if self.events.is_none() {
            return;
        }
        if let Some(place) = place
            && let Value::String(content) = &*place
        {
            let is_json = content.trim_start().starts_with('{');
            let extension = match (is_json, kind) {
                (true, _) => "json",
                (false, Kind::Schema) => "yaml",
                (false, Kind::Prompt) => "txt",
            };
            let path = self.names.file(folder, parts, version, extension, content);
            *place = json!({ "Fn::File": path });
        }
    }

    /// What is known of the uses of a function.
    fn used(&mut self, name: &str) -> &mut Uses {
        let names = &mut self.names;
        let (_, uses) = self.functions.entry(name.to_owned()).or_insert_with(|| {
            let logical = names.logical(&[name, "Function"]);
            (logical, Uses::default())
        });
        uses
    }

    fn refer_all(&mut self, definition: &mut Map<String, Value>, place: Place) {
        definition
            .values_mut()
            .for_each(|value| self.refer(value, place));
    }

    /// References in place of the ARNs of what the template declares.
    fn refer(&mut self, value: &mut Value, place: Place) {
        match value {
            Value::String(text) => {
                if let Some(reference) = self.reference(text, place) {
                    *value = reference;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.refer(item, place)),
            Value::Object(members) => self.refer_all(members, place),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn reference(&mut self, arn: &str, place: Place) -> Option<Value> {
        if !arn.starts_with("arn:") {
            return None;
        }
        if let Some(function) = scan::function(arn) {
            self.events?;
            self.used(function.name);
            let (logical, _) = &self.functions[function.name];
            return Some(match function.qualifier {
                None => attribute(logical, "Arn"),
                Some(qualifier) => json!({"Fn::Sub": format!("${{{logical}.Arn}}:{qualifier}")}),
            });
        }
        if let Some(prompt) = scan::prompt(arn) {
            let logical = self.prompts.get(&(prompt.id, prompt.version))?;
            return Some(match self.events {
                Some(_) => attribute(logical, "Arn"),
                None => json!({"Fn::ImportValue": export_of(prompt.id, prompt.version)}),
            });
        }
        let (agent_id, alias_id) = scan::alias(arn)?;
        let agent = self.agents.get(agent_id)?;
        let is_placed = self.placed.contains(agent_id) && matches!(place, Place::Agent);
        let alias = self.aliases.get(&(agent_id, alias_id));
        if self.events.is_none() {
            return Some(alias_arn(agent_id, alias_id));
        }
        Some(match alias {
            Some(alias) if is_placed => attribute(alias, "AgentAliasArn"),
            None if is_placed && alias_id == TEST_ALIAS => {
                alias_arn(&format!("${{{agent}.AgentId}}"), alias_id)
            }
            _ => {
                self.notes.differs(format!(
                    "agent {agent_id}: it is referred to from what it refers to itself, and so by its ARN; deploy may have to be run twice"
                ));
                alias_arn(agent_id, alias_id)
            }
        })
    }

    fn declare_functions(&mut self) {
        if self.events.is_none() {
            self.functions.clear();
            return;
        }
        let declared = self.functions.iter().map(|(name, (logical, _))| {
            let properties = json!({
                "FunctionName": name,
                "Runtime": "python3.12",
                "Handler": HANDLER_NAME,
                "Code": super::folder::function_folder(name),
                "Timeout": FUNCTION_TIMEOUT_S,
            });
            Resource {
                stack: String::new(),
                logical: logical.clone(),
                type_name: "AWS::Lambda::Function",
                properties: properties.as_object().cloned().unwrap_or_default(),
            }
        });
        let declared: Vec<Resource> = declared.collect();
        self.resources.splice(0..0, declared);
    }
}

/// Of stubs; Lambda's own three seconds are short for whatever takes their place.
const FUNCTION_TIMEOUT_S: u32 = 30;

/// What a text is, which its file's name tells.
#[derive(Clone, Copy)]
enum Kind {
    Schema,
    Prompt,
}

/// The name under which other stacks find the ARN of a prompt.
fn export_of(id: &str, version: Option<u32>) -> String {
    match version {
        None => format!("pulled-prompt-{id}"),
        Some(version) => format!("pulled-prompt-{id}-{version}"),
    }
}

fn alias_arn(agent_id: &str, alias_id: &str) -> Value {
    let arn = format!(
        "arn:${{AWS::Partition}}:bedrock:${{AWS::Region}}:${{AWS::AccountId}}:agent-alias/{agent_id}/{alias_id}"
    );
    json!({ "Fn::Sub": arn })
}

fn attribute(logical: &str, attribute: &str) -> Value {
    json!({"Fn::GetAtt": [logical, attribute]})
}

fn tags(tags: &Map<String, Value>, id: Option<&str>) -> Value {
    let mut tags = tags.clone();
    if let Some(id) = id {
        tags.insert(ID_TAG.to_owned(), json!(id));
    }
    Value::Object(tags)
}

/// A text member of a definition; empty where there is none.
pub(super) fn definition_text<'v>(definition: &'v Map<String, Value>, member: &str) -> &'v str {
    let value = definition.get(member).and_then(Value::as_str);
    value.unwrap_or_default()
}

fn functions_of(definition: &Map<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    scan::texts_of(definition, &mut |text| {
        if let Some(function) = scan::function(text) {
            found.insert(function.name.to_owned());
        }
    });
    found
}

/// Collaborators before their supervisors; in a circle, whoever is come to last.
fn in_order(source: &Source) -> Vec<&str> {
    fn visit<'a>(
        source: &'a Source,
        id: &'a str,
        begun: &mut BTreeSet<&'a str>,
        order: &mut Vec<&'a str>,
    ) {
        if !begun.insert(id) {
            return;
        }
        let Some(agent) = source.agents.get(id) else {
            return;
        };
        for collaborator in agent.collaborators() {
            if let Some((id, _)) = source.agents.get_key_value(&collaborator) {
                visit(source, id, begun, order);
            }
        }
        order.push(id);
    }
    let mut order = Vec::new();
    visit(source, &source.root, &mut BTreeSet::new(), &mut order);
    order
}
