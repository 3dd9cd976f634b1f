//! A streamed answer with sources: they follow the part they are of, and are sent once.

use outcrop_engine::citation::Shown;
use outcrop_engine::orchestration::{LiveAnswer, TurnAssembler};
use outcrop_model::converse::{
    ContentBlockDelta, ContentBlockDeltaEvent, ConverseStreamOutput, MessageStopEvent, StopReason,
};
use outcrop_model::runtime::{RetrievalResultContent, RetrievedReference};

fn reference(text: &str) -> RetrievedReference {
    RetrievedReference {
        content: Some(RetrievalResultContent {
            text: Some(text.to_owned()),
            ..RetrievalResultContent::default()
        }),
        ..RetrievedReference::default()
    }
}

fn piece(text: &str) -> ConverseStreamOutput {
    ConverseStreamOutput::ContentBlockDelta(ContentBlockDeltaEvent {
        content_block_index: 0,
        delta: ContentBlockDelta::Text(text.to_owned()),
    })
}

#[test]
fn the_sources_of_a_streamed_part_follow_its_text() {
    let mut shown = Shown::default();
    shown.add(&[reference("Ships weigh."), reference("Oars wait.")]);
    let mut assembler = TurnAssembler::new(Some(&LiveAnswer {
        may_call_tools: true,
        prefill: String::new(),
        shown,
        guardrail: None,
    }));
    let mut sent = String::new();
    let mut cited = Vec::new();
    for text in [
        "<answer><answer_part><text>One",
        " ship.</text><sources><source>1</source></sou",
        "rces></answer_part><answer_part><text>Two oars.</text>",
        "<sources><source>2</source></sources></answer_part>",
        "</answer>",
    ] {
        sent.push_str(
            &assembler
                .push(piece(text))
                .expect("text")
                .unwrap_or_default(),
        );
        let Some(attribution) = assembler.new_citations() else {
            continue;
        };
        for citation in attribution.citations.expect("citations") {
            let part = citation.generated_response_part.expect("a part");
            let part = part.text_response_part.expect("text");
            let span = part.span.expect("a span");
            let (start, end) = (span.start.expect("start"), span.end.expect("end"));
            let said: String = sent
                .chars()
                .skip(usize::try_from(start).expect("small"))
                .take(usize::try_from(end - start + 1).expect("small"))
                .collect();
            assert_eq!(Some(&said), part.text.as_ref(), "the text is there before");
            let references = citation.retrieved_references.expect("references");
            let source = references[0]
                .content
                .clone()
                .and_then(|content| content.text);
            cited.push((said, source.expect("text")));
        }
    }
    let stop = ConverseStreamOutput::MessageStop(MessageStopEvent {
        additional_model_response_fields: None,
        stop_reason: StopReason::EndTurn,
    });
    assembler.push(stop).expect("the end");
    let reply = assembler.finish().expect("a message");
    assert_eq!(
        cited,
        [
            ("One ship.".to_owned(), "Ships weigh.".to_owned()),
            ("Two oars.".to_owned(), "Oars wait.".to_owned())
        ]
    );
    assert_eq!(reply.cited_parts, 2);
}
