//! The texts put before the model, in the `ChatML` form `SmolLM2` was trained on.
//!
//! Foreign text is made inert first, so that nobody can close a message from within. Invariant:
//! prompts of one kind share their opening, which the cache of evaluated prompts relies on.

/// The token texts that structure a conversation.
const MARKS: &[&str] = &["<|im_start|>", "<|im_end|>", "<|endoftext|>"];

/// `text` without anything the tokenizer takes for structure.
pub(super) fn inert(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(mark) = MARKS.iter().find(|mark| text.contains(*mark)) {
        text = text.replace(mark, "");
    }
    text
}

/// Characters of a request that are weighed; its beginning says what it wants, and what a user pastes
/// after it would only cost time.
const WEIGHED_CHARS: usize = 600;

/// The beginning of `text`, inert.
pub(super) fn bounded(text: &str) -> String {
    let text = inert(text.trim());
    match text.char_indices().nth(WEIGHED_CHARS) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

/// The openings under which a user's text is weighed: an assistant with one task, or with none. Two
/// wordings, because a model this small is swayed by the wording; their mean is less so.
pub(super) fn task(task: Option<&str>) -> [String; 2] {
    let (system, note) = match task {
        Some(task) => (
            format!("Your only task: {}", bounded(task)),
            format!(
                "Task: {}\nA user who wants this writes to an assistant:\n",
                bounded(task)
            ),
        ),
        None => (
            "You are a helpful assistant.".to_owned(),
            "A user writes to an assistant:\n".to_owned(),
        ),
    };
    [
        format!("<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n"),
        note,
    ]
}

/// The opening under which a value of a request is weighed.
pub(super) fn value(request: &str, label: &str) -> String {
    format!(
        "<|im_start|>user\n{}\nCopy the values.<|im_end|>\n<|im_start|>assistant\n{}:",
        bounded(request),
        bounded(label)
    )
}

/// One message of a conversation; the last one is left open for the model to write.
pub(super) fn message(role: &str, text: &str) -> String {
    format!("<|im_start|>{role}\n{}<|im_end|>\n", inert(text))
}

/// Where the model's own message begins.
pub(super) const ASSISTANT: &str = "<|im_start|>assistant\n";
