//! A member of a response together with its path, so that each fault can name it.

use serde_json::{Map, Value};

use crate::action::lambda::ReplyFault;
use crate::action::lambda::reply::{not_text, shown, wrong};

/// An object of the response and where it stands.
#[derive(Clone)]
pub(super) struct Object<'a> {
    members: &'a Map<String, Value>,
    path: String,
}

impl<'a> Object<'a> {
    /// The whole response.
    pub(super) fn root(value: &'a Value) -> Result<Self, ReplyFault> {
        Self::at(value, String::new())
    }

    fn at(value: &'a Value, path: String) -> Result<Self, ReplyFault> {
        let named = if path.is_empty() { "the reply" } else { &path };
        let members = value
            .as_object()
            .ok_or_else(|| wrong(named, "an object", Some(value)))?;
        Ok(Self { members, path })
    }

    fn path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// A member; absent and null are the same.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// An object that must be there.
    pub(super) fn object(&self, name: &str) -> Result<Self, ReplyFault> {
        match self.get(name) {
            Some(value) => Self::at(value, self.path(name)),
            None => Err(self.wrong(name, "an object")),
        }
    }

    /// An object that may be there.
    pub(super) fn object_if_any(&self, name: &str) -> Result<Option<Self>, ReplyFault> {
        self.get(name)
            .map(|value| Self::at(value, self.path(name)))
            .transpose()
    }

    /// The objects of a list; none where it is absent.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Self>, ReplyFault> {
        let Some(value) = self.get(name) else {
            return Ok(Vec::new());
        };
        let Value::Array(items) = value else {
            return Err(self.wrong(name, "a list"));
        };
        items
            .iter()
            .enumerate()
            .map(|(index, item)| Self::at(item, format!("{}[{index}]", self.path(name))))
            .collect()
    }

    /// A text that must be there.
    pub(super) fn text(&self, name: &str) -> Result<String, ReplyFault> {
        match self.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            other => Err(not_text(&self.path(name), other)),
        }
    }

    /// A text that may be there.
    pub(super) fn text_if_any(&self, name: &str) -> Result<Option<String>, ReplyFault> {
        self.get(name).map(|_| self.text(name)).transpose()
    }

    /// A truth value that must be there.
    pub(super) fn truth(&self, name: &str) -> Result<bool, ReplyFault> {
        self.get(name)
            .and_then(Value::as_bool)
            .ok_or_else(|| self.wrong(name, "true or false"))
    }

    /// The members, in the order of their names.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.members.iter()
    }

    /// A fault about a member.
    pub(super) fn wrong(&self, name: &str, expected: &str) -> ReplyFault {
        wrong(&self.path(name), expected, self.get(name))
    }

    /// A fault about two members that exclude each other, or of which one must be there.
    pub(super) fn not_one_of(&self, names: &str) -> ReplyFault {
        let got: Vec<&String> = self.members.keys().collect();
        let place = if self.path.is_empty() {
            "the reply"
        } else {
            &self.path
        };
        ReplyFault::generic(format!(
            "{place}: expected one of {names}, got members {}",
            shown(Some(&Value::from(
                got.into_iter().cloned().collect::<Vec<_>>()
            )))
        ))
    }
}
