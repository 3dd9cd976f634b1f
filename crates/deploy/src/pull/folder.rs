//! The files of a pulled agent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::layout::{Layout, Resource};
use super::names::file_name;
use super::{Source, report};
use crate::scaffold::{self, Events};
use crate::template::emit;

/// Of the report.
pub(super) const REPORT: &str = "REPORT.md";
/// Of the template.
pub(super) const TEMPLATE: &str = "template.yaml";

/// A stack for one agent, knowledge base or prompt, with nothing beside its template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedStack {
    /// Named after the id at the source, so that what two agents share is one stack.
    pub name: String,
    /// Functions are named by their ARNs as they are, and texts stand in the template.
    pub template: String,
}

/// Files by path, all below one folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// Written anew by every pull.
    pub files: BTreeMap<String, String>,
    /// Meant to be edited, and never written over where they have been.
    pub stubs: BTreeMap<String, String>,
}

impl Folder {
    /// The template.
    pub fn template(&self) -> &str {
        self.files.get(TEMPLATE).map_or("", String::as_str)
    }
}

/// A folder that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Two functions would share a folder.
    #[error("the functions {0} and {1} would have the same folder")]
    SameFolder(String, String),
}

/// The stacks that make a source on a server, in the order in which they can be made.
pub fn stacks(source: &Source) -> Vec<PushedStack> {
    let layout = Layout::new(source, None);
    let mut stacks: Vec<PushedStack> = Vec::new();
    for resource in &layout.resources {
        if stacks.iter().all(|stack| stack.name != resource.stack) {
            let parts = layout.resources.iter();
            let parts = parts.filter(|other| other.stack == resource.stack);
            let mut template = template(&resource.stack, parts);
            let mut exports = layout.exports.iter().peekable();
            if exports.any(|(stack, ..)| *stack == resource.stack) {
                template.push_str(&outputs(&layout, &resource.stack));
            }
            stacks.push(PushedStack {
                name: resource.stack.clone(),
                template,
            });
        }
    }
    stacks
}

fn outputs(layout: &Layout<'_>, stack: &str) -> String {
    let exports = layout.exports.iter().filter(|(of, ..)| of == stack);
    exports.fold("Outputs:\n".to_owned(), |text, (_, name, logical)| {
        format!(
            "{text}  {logical}:\n    Value: !GetAtt {logical}.Arn\n    Export:\n      Name: {name}\n"
        )
    })
}

/// The folder of a source.
///
/// # Errors
/// [`FolderError`].
pub fn folder(source: &Source, events: &dyn Events) -> Result<Folder, FolderError> {
    let layout = Layout::new(source, Some(events));
    let mut folders: BTreeMap<String, &String> = BTreeMap::new();
    for name in layout.functions.keys() {
        if let Some(other) = folders.insert(function_folder(name), name) {
            return Err(FolderError::SameFolder(other.clone(), name.clone()));
        }
    }
    let mut folder = Folder::default();
    folder.files.insert(
        REPORT.to_owned(),
        report::report(source, &layout.functions, &layout.notes),
    );
    let root = source.agents.get(&source.root);
    let name = root.map_or("", |agent| agent.name.as_str());
    let text = template(name, layout.resources.iter());
    folder.files.insert(TEMPLATE.to_owned(), text);
    for (name, (_, uses)) in &layout.functions {
        for (path, text) in scaffold::plain_files(name, uses) {
            let is_stub = !path.starts_with("events/");
            let path = format!("{}/{path}", function_folder(name));
            let files = if is_stub {
                &mut folder.stubs
            } else {
                &mut folder.files
            };
            files.insert(path, text);
        }
    }
    folder.files.extend(layout.names.into_files());
    Ok(folder)
}

/// Where the code of a function lies.
pub(super) fn function_folder(name: &str) -> String {
    format!("functions/{}", file_name(name))
}

fn template<'a>(name: &str, resources: impl Iterator<Item = &'a Resource>) -> String {
    let description = format!("{name}, pulled with what it refers to");
    let mut text = format!(
        "# Written by `outcrop pull`; see REPORT.md. Apply it with `outcrop deploy {TEMPLATE}`.\n\
         # The tag outcrop:id keeps the id a resource had where it was pulled from.\n\
         AWSTemplateFormatVersion: \"2010-09-09\"\n\
         Description: {}\n\
         Resources:\n",
        emit::scalar(&description)
    );
    let mut written = BTreeSet::new();
    for resource in resources {
        debug_assert!(written.insert(&resource.logical), "{}", resource.logical);
        let _ = write!(
            text,
            "  {}:\n    Type: {}\n    Properties:\n{}",
            resource.logical,
            resource.type_name,
            emit::mapping(&resource.properties, 6)
        );
    }
    text
}
