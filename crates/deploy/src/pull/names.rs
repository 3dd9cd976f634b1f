//! Names in a folder: logical ids and paths, stable and never twice.

use std::collections::{BTreeMap, BTreeSet};

pub(super) use crate::scaffold::name_of_file as file_name;

/// Names that are taken.
#[derive(Debug, Default)]
pub(super) struct Names {
    logical: BTreeSet<String>,
    files: BTreeMap<String, String>,
}

impl Names {
    /// `support-bot` and `Agent` as `SupportBotAgent`; a number follows where that is taken.
    pub(super) fn logical(&mut self, parts: &[&str]) -> String {
        let name: String = parts.iter().copied().map(pascal).collect();
        // CloudFormation's logical ids are letters and digits, and 255 of them at most.
        let name: String = name.chars().take(200).collect();
        let mut candidates =
            std::iter::once(name.clone()).chain((2_u32..).map(|number| format!("{name}{number}")));
        let free = candidates.find(|candidate| !self.logical.contains(candidate));
        let free = free.expect("numbers do not end");
        self.logical.insert(free.clone());
        free
    }

    /// The path of a file with this content: one that is there already, if its name begins alike, so
    /// that versions of an agent share what has not changed.
    pub(super) fn file(
        &mut self,
        folder: &str,
        parts: &[&str],
        version: Option<u32>,
        extension: &str,
        content: &str,
    ) -> String {
        let stem: Vec<String> = parts.iter().copied().map(file_name).collect();
        let stem = format!("{folder}/{}", stem.join("."));
        let versioned = |suffix: &str| format!("{stem}{suffix}.{extension}");
        let shared = self
            .files
            .range(format!("{stem}.")..)
            .find(|(path, text)| path.starts_with(&format!("{stem}.")) && text.as_str() == content);
        if let Some((path, _)) = shared {
            return path.clone();
        }
        let first = versioned(&version.map_or_else(String::new, |version| format!(".v{version}")));
        let mut candidates =
            std::iter::once(first).chain((2_u32..).map(|number| versioned(&format!(".{number}"))));
        let free = candidates.find(|candidate| !self.files.contains_key(candidate));
        let free = free.expect("numbers do not end");
        self.files.insert(free.clone(), content.to_owned());
        free
    }

    /// All files, by path.
    pub(super) fn into_files(self) -> BTreeMap<String, String> {
        self.files
    }
}

fn pascal(text: &str) -> String {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric());
    words
        .flat_map(|word| {
            let mut characters = word.chars();
            let first = characters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(characters)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logical_ids() {
        let mut names = Names::default();
        assert_eq!(names.logical(&["support-bot", "Agent"]), "SupportBotAgent");
        assert_eq!(names.logical(&["support_bot", "Agent"]), "SupportBotAgent2");
    }

    #[test]
    fn files_are_shared_by_content() {
        let mut names = Names::default();
        let mut file = |version, text| names.file("prompts", &["a/..", "x"], version, "txt", text);
        assert_eq!(file(None, "one"), "prompts/a.x.txt");
        assert_eq!(file(Some(1), "one"), "prompts/a.x.txt");
        assert_eq!(file(Some(2), "two"), "prompts/a.x.v2.txt");
        assert_eq!(file(Some(3), "two"), "prompts/a.x.v2.txt");
        assert_eq!(file(None, "three"), "prompts/a.x.2.txt");
    }
}
