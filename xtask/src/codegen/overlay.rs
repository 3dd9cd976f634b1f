//! Applies `models/overlay.toml`, the one place where shapes deviate from the vendored models.
//!
//! Every row needs a reason, and every row must change something: one that AWS has caught up with
//! fails the build instead of lingering.

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::ir::{Kind, Length, Model, Pattern, Shape};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// Deviations that hold everywhere and live in code; listed so that this file stays complete.
    #[serde(default)]
    pub rule: Vec<Rule>,
    /// Corrections of one shape.
    #[serde(default)]
    pub shape: Vec<ShapeRow>,
    /// Members that get another shape.
    #[serde(default)]
    pub member: Vec<MemberRow>,
}

/// A deviation that is not about one shape.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A name to cite.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// A correction of one shape of one service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapeRow {
    /// `bedrock-agent`, …
    pub service: String,
    /// The shape.
    pub name: String,
    /// A new shape that starts as a copy of this one.
    pub copy_of: Option<String>,
    /// Values to add to an enum.
    #[serde(default)]
    pub add_values: Vec<String>,
    /// The values of an enum in the order in which AWS's errors name them.
    #[serde(default)]
    pub order: Vec<String>,
    /// A new upper bound of the length.
    pub max_length: Option<u64>,
    /// A new pattern text, shown in errors.
    pub pattern: Option<String>,
    /// What to match instead of the pattern's text.
    pub accept: Option<String>,
    /// What must not match.
    pub reject: Option<String>,
    /// Why.
    pub reason: String,
}

/// A member that gets another shape.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRow {
    /// `bedrock-agent`, …
    pub service: String,
    /// The structure.
    pub shape: String,
    /// Its member.
    pub name: String,
    /// The member's new shape.
    pub target: String,
    /// Why.
    pub reason: String,
}

impl Overlay {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not well-formed or a row has no reason.
    pub fn read(text: &str) -> Result<Self> {
        let overlay: Self = toml::from_str(text).context("models/overlay.toml")?;
        let reasons = overlay.rule.iter().map(|row| &row.reason);
        let reasons = reasons.chain(overlay.shape.iter().map(|row| &row.reason));
        let mut reasons = reasons.chain(overlay.member.iter().map(|row| &row.reason));
        ensure!(
            reasons.all(|reason| !reason.trim().is_empty()),
            "models/overlay.toml: a row without a reason"
        );
        Ok(overlay)
    }

    /// Applies the rows of one service.
    ///
    /// # Errors
    /// When a row names nothing, does not fit its shape, or changes nothing.
    pub fn apply(&self, service: &str, model: &mut Model) -> Result<()> {
        for row in self.shape.iter().filter(|row| row.service == service) {
            apply_shape(row, model)
                .with_context(|| format!("overlay of {service} {}", row.name))?;
        }
        for row in self.member.iter().filter(|row| row.service == service) {
            apply_member(row, model)
                .with_context(|| format!("overlay of {service} {}.{}", row.shape, row.name))?;
        }
        Ok(())
    }
}

fn apply_shape(row: &ShapeRow, model: &mut Model) -> Result<()> {
    if let Some(source) = &row.copy_of {
        ensure!(
            !model.shapes.contains_key(&row.name),
            "the new shape exists already"
        );
        let copy: Shape = model
            .shapes
            .get(source)
            .context("no such shape to copy")?
            .clone();
        model.shapes.insert(row.name.clone(), copy);
    }
    let shape = model.shapes.get_mut(&row.name).context("no such shape")?;
    let before = shape.kind.clone();
    match &mut shape.kind {
        Kind::Enum(values) => {
            for value in &row.add_values {
                ensure!(!values.contains(value), "{value} is in the model by now");
                values.push(value.clone());
            }
            if !row.order.is_empty() {
                let sorted = |values: &[String]| {
                    let mut values = values.to_vec();
                    values.sort();
                    values
                };
                ensure!(
                    sorted(values) == sorted(&row.order),
                    "the order names other values than the model"
                );
                values.clone_from(&row.order);
            }
        }
        Kind::String { length, pattern } => correct_string(row, length, pattern),
        Kind::List { length, .. } if row.max_length.is_some() => length.max = row.max_length,
        _ => bail!("only strings, enums and the lengths of lists can be corrected"),
    }
    ensure!(shape.kind != before, "the row changes nothing");
    Ok(())
}

fn correct_string(row: &ShapeRow, length: &mut Length, pattern: &mut Option<Pattern>) {
    if row.max_length.is_some() {
        length.max = row.max_length;
    }
    if let Some(text) = &row.pattern {
        *pattern = Some(Pattern {
            text: text.clone(),
            accept: None,
            reject: None,
        });
    }
    if let Some(pattern) = pattern {
        pattern.accept.clone_from(&row.accept);
        pattern.reject.clone_from(&row.reject);
    }
}

fn apply_member(row: &MemberRow, model: &mut Model) -> Result<()> {
    ensure!(
        model.shapes.contains_key(&row.target),
        "no shape {}",
        row.target
    );
    let shape = model.shapes.get_mut(&row.shape).context("no such shape")?;
    let (Kind::Structure(members) | Kind::Union(members)) = &mut shape.kind else {
        bail!("not a structure");
    };
    let member = members.iter_mut().find(|member| member.name == row.name);
    let member = member.context("no such member")?;
    ensure!(member.target != row.target, "the row changes nothing");
    member.target.clone_from(&row.target);
    Ok(())
}
