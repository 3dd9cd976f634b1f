//! Tool names on both sides: `group__function` natively, `group::function` in text (behaviour.md 1.9).

use super::CallSyntax;

/// A native name as the syntax writes it.
pub(super) fn shown(syntax: CallSyntax, native: &str) -> String {
    if syntax.spells_names() {
        native.replace("__", "::")
    } else {
        native.to_owned()
    }
}

/// The native name that a written one means, if there is such a tool. Models and templates differ in
/// the case of the verb (`get::group::operation`).
pub(super) fn native(written: &str, known: &dyn Fn(&str) -> bool) -> Option<String> {
    let written = written.trim();
    let name = written.replace("::", "__");
    let recased = |verb: fn(&str) -> String| {
        let (first, rest) = name.split_once("__")?;
        Some(format!("{}__{rest}", verb(first)))
    };
    let candidates = [
        Some(written.to_owned()),
        Some(name.clone()),
        recased(str::to_ascii_uppercase),
        recased(str::to_ascii_lowercase),
    ];
    candidates
        .into_iter()
        .flatten()
        .find(|candidate| known(candidate))
}
