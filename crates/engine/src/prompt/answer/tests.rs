//! Texts of models and what is read in them, whole and in pieces.

use super::*;

const SAMPLES: [&str; 19] = [
    "<thinking>look it up</thinking>\n\n<answer>It is 30.",
    "<thinking>a</thinking><answer>\n\nfirst words</answer> trailing",
    "no tags at all",
    "preamble <answer>tagged</answer>",
    "<thinking>one</thinking>mid<thinking>two</thinking> end",
    "<thinking>never closed",
    "1 < 2 and <b>bold</b> <answer>x < y</answer>",
    "<answer>partial </answ",
    "",
    RECORDED,
    "<answer>Intro:\n<answer_part>\n<text>\none\n</text>\n<sources>\n<source>1</source>\n</sources>\n</answer_part>\n<answer_part><text> two  words </text><sources><source> 2 </source><source>3</source></sources></answer_part> end\n</answer>",
    "<answer_part><text>untagged</text><sources><source>1</source></sources></answer_part>",
    "<answer>\nBooked.\n\n<sources>\n<source>hIdG</source>\n</sources>\n",
    "<answer>Use <text> and <source> in SVG. <answer_part> none",
    "<answer> spaced <answer_part><text>no sources</text></answer_part><answer_part>bare<sources><source>1",
    "begun before</thinking><answer>now",
    "<answer><answer_part><text>It is $150.</text> <source>dfe0-46</source></answer_part><answer_part><text>- a\n- b</text><source>2</source></answer_part><answer_part><text>c</text></answer_part></answer>",
    "<think>\nHm, <b>.\n</think>\n\nParis.",
    " plan\n</scratchpad>\n<scratchpad>more</scratchpad> <answer>done</answer>",
];

/// As a model on AWS wrote it, cut by the stop sequence.
const RECORDED: &str = "<thinking>\nlook\n</thinking>\n\n<answer>\n<answer_part>\n<text>\nTask decomposition is 1. < 2.\n\n- a list\n</text>\n<sources>\n<source>3</source>\n<source>5</source>\n</sources>\n</answer_part>";

#[test]
fn reads_thinking_and_answer() {
    let reading = read(SAMPLES[0], true);
    assert_eq!(reading.thinking.as_deref(), Some("look it up"));
    assert_eq!(reading.answer, "It is 30.");
    assert_eq!(read(SAMPLES[1], true).answer, "first words");
    assert_eq!(read(SAMPLES[2], true).answer, "no tags at all");
    assert_eq!(read(SAMPLES[3], true).answer, "tagged");
    assert_eq!(read(SAMPLES[3], false).answer, "preamble tagged");
    assert_eq!(read(SAMPLES[4], true).thinking.as_deref(), Some("one\ntwo"));
    assert_eq!(read(SAMPLES[4], true).answer, "mid end");
    assert_eq!(read(SAMPLES[5], true).answer, "never closed");
    assert_eq!(read(SAMPLES[6], true).answer, "x < y");
    assert_eq!(read(SAMPLES[7], true).answer, "partial </answ");
    assert_eq!(read(SAMPLES[8], true).answer, "");
}

#[test]
fn any_split_reads_the_same_and_never_takes_answer_text_back() {
    for sample in SAMPLES {
        for may_call_tools in [true, false] {
            let whole = read(sample, may_call_tools);
            for cut in 0..=sample.len() {
                if !sample.is_char_boundary(cut) {
                    continue;
                }
                let mut scanner = AnswerScanner::new(may_call_tools);
                scanner.feed(&sample[..cut]);
                let early = scanner.answer().to_owned();
                scanner.feed(&sample[cut..]);
                let reading = scanner.finish();
                assert_eq!(reading, whole, "{sample:?} cut at {cut}");
                assert!(
                    reading.answer.starts_with(&early),
                    "{sample:?} cut at {cut}"
                );
            }
        }
    }
}

/// The text of each part and its sources.
fn cited(reading: &Reading) -> Vec<(&str, String)> {
    reading
        .parts
        .iter()
        .map(|part| {
            let text = reading.answer.get(part.start..part.end);
            (text.expect("inside the answer"), part.sources.join(","))
        })
        .collect()
}

#[test]
fn sources_are_read_and_their_tags_left_out() {
    let recorded = read(RECORDED, true);
    assert_eq!(recorded.answer, "Task decomposition is 1. < 2.\n\n- a list");
    assert_eq!(
        cited(&recorded),
        [(recorded.answer.as_str(), "3,5".to_owned())]
    );
    let two = read(SAMPLES[10], true);
    assert_eq!(two.answer, "Intro:\n\none two  words end");
    assert_eq!(
        cited(&two),
        [("one", "1".to_owned()), ("two  words", "2,3".to_owned())]
    );
    for may_call_tools in [true, false] {
        let untagged = read(SAMPLES[11], may_call_tools);
        assert_eq!(cited(&untagged), [("untagged", "1".to_owned())]);
    }
    let trailing = read(SAMPLES[12], true);
    assert_eq!(trailing.answer, "Booked.\n\n");
    assert_eq!(cited(&trailing), [("Booked.", "hIdG".to_owned())]);
    assert_eq!(
        read(SAMPLES[13], true).answer,
        "Use <text> and <source> in SVG. none"
    );
    let bare = read(SAMPLES[14], true);
    assert_eq!(bare.answer, "spaced no sources bare");
    assert_eq!(cited(&bare), [("bare", "1".to_owned())]);
}

#[test]
fn what_a_reasoning_model_thinks_is_no_answer() {
    for may_call_tools in [true, false] {
        let reading = read(SAMPLES[17], may_call_tools);
        assert_eq!(reading.thinking.as_deref(), Some("Hm, <b>."));
        assert_eq!(reading.answer.trim(), "Paris.");
    }
    assert_eq!(behind_thoughts("a</think>b</thinking> c"), " c");
}

#[test]
fn what_claude_2_writes_is_read() {
    let reading = read(SAMPLES[16], true);
    assert_eq!(reading.answer, "It is $150.\n\n- a\n- b\n\nc");
    assert_eq!(
        cited(&reading),
        [
            ("It is $150.", "dfe0-46".to_owned()),
            ("- a\n- b", "2".to_owned())
        ]
    );
    let planned = read(SAMPLES[18], true);
    assert_eq!(planned.thinking.as_deref(), Some("plan\nmore"));
    assert_eq!(planned.answer, "done");
}

#[test]
fn sources_are_known_as_soon_as_they_are_named() {
    let mut scanner = AnswerScanner::new(true);
    scanner.feed("<answer><answer_part><text>one");
    assert_eq!((scanner.answer(), scanner.parts().len()), ("one", 0));
    scanner.feed("</text><sources><source>1</source></sources>");
    assert_eq!(scanner.parts().len(), 1);
}

#[test]
fn plain_text_is_given_out_as_the_model_wrote_it() {
    let mut scanner = AnswerScanner::new(true);
    let mut given = Vec::new();
    for piece in [
        "<answer>", "\n", "Hel", "lo, ", "I am", " an", " Age", "nt\n\n", "\n",
    ] {
        let before = scanner.answer().len();
        scanner.feed(piece);
        given.push(
            scanner
                .answer()
                .get(before..)
                .unwrap_or_default()
                .to_owned(),
        );
    }
    assert_eq!(
        given,
        ["", "", "Hel", "lo, ", "I am", " an", " Age", "nt\n\n", "\n"]
    );
}

#[test]
fn a_reply_goes_on_from_the_prefill() {
    let reply = "The goal is clear.\n</thinking>\n\n<answer>\nDone.";
    for may_call_tools in [true, false] {
        let mut scanner = AnswerScanner::continuing("Thought: <thinking>\n(1)", may_call_tools);
        scanner.feed(reply);
        assert_eq!(scanner.answer(), "Done.");
        let reading = scanner.finish();
        assert_eq!(reading.thinking.as_deref(), Some("The goal is clear."));
        assert_eq!(reading.answer, "Done.");
    }
    let begun = read(SAMPLES[15], true);
    assert_eq!(begun.thinking.as_deref(), Some("begun before"));
    assert_eq!(begun.answer, "now");
}

/// What replies are made of, put together at random by a seeded generator.
const PIECES: [&str; 20] = [
    "<think>",
    "</think>",
    "<thinking>",
    "</thinking>",
    "<answer>",
    "</answer>",
    "<answer_part>",
    "</answer_part>",
    "<text>",
    "</text>",
    "<sources>",
    "</sources>",
    "<source>",
    "</source>",
    "1",
    " word",
    "\n",
    " ",
    "<b",
    "\u{e9}",
];

#[test]
fn whatever_the_model_writes_its_pieces_do_not_matter() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..4_000 {
        let mut text = String::new();
        for _ in 0..14 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let piece = usize::try_from(state % 20).expect("small");
            text.push_str(PIECES[piece]);
        }
        let may_call_tools = round % 2 == 0;
        let whole = read(&text, may_call_tools);
        let mut scanner = AnswerScanner::new(may_call_tools);
        let mut given = String::new();
        for character in text.chars() {
            scanner.feed(character.encode_utf8(&mut [0; 4]));
            let known = scanner.answer();
            assert!(known.starts_with(&given), "{text:?}");
            known.clone_into(&mut given);
            for part in scanner.parts() {
                assert!(part.start < part.end && part.end <= known.len(), "{text:?}");
            }
        }
        let reading = scanner.finish();
        assert_eq!(reading, whole, "{text:?}");
        assert!(reading.answer.starts_with(&given), "{text:?}");
        for part in &reading.parts {
            let said = reading.answer.get(part.start..part.end);
            assert_eq!(said, said.map(str::trim), "{text:?}");
        }
    }
}

#[test]
fn the_texts_of_parts_can_be_left_as_they_are() {
    let text = "<thinking>hm</thinking>\n<answer>\n<answer_part>\n<text>\none two\n</text>\n<sources>\n<source>1</source>\n</sources>\n</answer_part>\n<answer_part>\n<text>\nthree\n</text>\n<sources><source>2</source></sources>\n</answer_part>\n</answer>";
    for pieces in [1, 3, 7, text.len()] {
        let mut scanner = AnswerScanner::verbatim();
        for piece in text.as_bytes().chunks(pieces) {
            scanner.feed(std::str::from_utf8(piece).expect("ASCII"));
        }
        let reading = scanner.finish();
        assert_eq!(reading.answer, "\none two\n\nthree\n", "{pieces}");
        let parts: Vec<(usize, usize)> = reading
            .parts
            .iter()
            .map(|part| (part.start, part.end))
            .collect();
        assert_eq!(parts, [(0, 8), (9, 15)], "{pieces}");
    }
    for (text, answer) in [
        ("plain words", "plain words"),
        (
            "<answer>a<answer_part><text>b</text></answer_part><answer_part><text>c</text></answer_part>",
            "a b c",
        ),
        (
            "<answer><answer_part><text>b<sources><source>1</source></sources>c</answer_part>",
            "b c",
        ),
        (
            "<answer_part>bare<sources><source>1</source></sources></answer_part>",
            "bare",
        ),
    ] {
        let mut scanner = AnswerScanner::verbatim();
        scanner.feed(text);
        assert_eq!(scanner.finish().answer, answer, "{text}");
    }
}
