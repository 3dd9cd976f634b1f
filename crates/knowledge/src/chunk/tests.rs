//! What each strategy makes of documents, and what holds of any.

use std::sync::Arc;

use outcrop_model::control::ChunkingConfiguration;
use serde_json::{Value, json};

use super::sentence::sentences;
use super::{Chunk, ChunkError, Cut, Strategy, TokenCounter, cut};
use crate::document::{Block, BlockKind, Extracted};

/// A token a word.
struct Words;

impl TokenCounter for Words {
    fn token_ends(&self, text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut within = false;
        for (at, c) in text.char_indices() {
            if within && c.is_whitespace() {
                ends.push(at);
            }
            within = !c.is_whitespace();
        }
        if within {
            ends.push(text.len());
        }
        ends
    }
}

/// A token a character.
struct Characters;

impl TokenCounter for Characters {
    fn token_ends(&self, text: &str) -> Vec<usize> {
        text.char_indices()
            .map(|(at, c)| at + c.len_utf8())
            .collect()
    }
}

/// Knows no word: a text is one token, however long.
struct Ignorant;

impl TokenCounter for Ignorant {
    fn token_ends(&self, text: &str) -> Vec<usize> {
        if text.is_empty() {
            Vec::new()
        } else {
            vec![text.len()]
        }
    }
}

fn block(kind: BlockKind, text: &str) -> Block {
    Block {
        kind,
        text: text.to_owned(),
        page: None,
    }
}

fn document(blocks: Vec<Block>) -> Arc<Extracted> {
    Arc::new(Extracted {
        title: None,
        blocks,
    })
}

fn fixed(max_tokens: usize, overlap_tokens: usize) -> Strategy {
    Strategy::Fixed {
        max_tokens,
        overlap_tokens,
    }
}

fn chunks(document: &Arc<Extracted>, strategy: Strategy, counter: &dyn TokenCounter) -> Vec<Chunk> {
    match cut(Arc::clone(document), strategy, counter).expect("it can be cut") {
        Cut::Chunks(chunks) => chunks,
        Cut::Semantic(_) => panic!("no embeddings are needed"),
    }
}

fn texts(chunks: &[Chunk]) -> Vec<&str> {
    chunks.iter().map(|chunk| &*chunk.text).collect()
}

fn parts(text: &str) -> Vec<&str> {
    let mut start = 0;
    sentences(text)
        .into_iter()
        .map(|end| text[std::mem::replace(&mut start, end)..end].trim())
        .collect()
}

#[test]
fn sentences_of_many_kinds() {
    let cases: [&[&str]; 14] = [
        &["One two.", "Three four!", "Five?", "Six"],
        &[
            "Dr. Smith met Mrs. Jones, e.g. Monday at 3.5 p.m. sharp.",
            "They left.",
        ],
        &["See Fig. 3 and J. R. Miller.", "Done."],
        &["So did I.", "He said \"No.\"", "She left."],
        &["Das gilt z.B. Montags bzw. Dienstags.", "Ende."],
        &["これは文です。", "次の文！", "最後？"],
        &["这是第一句。", "这是第二句。"],
        &["यह एक वाक्य है।", "दूसरा।"],
        &["1. Scope of this policy.", "It holds."],
        &[
            "This line was\nbroken by a mail program.",
            "Next one\nwas too.",
        ],
        &["Items:", "- one", "- two", "2. three"],
        &["A paragraph", "Another one."],
        &["Version 1.2.3 of example.com is out.", "Get it."],
        &["a) First of all.", "(iv) Then this."],
    ];
    for expected in cases {
        // An item begins a line; everything else follows a space.
        let mut text = String::new();
        for sentence in expected {
            let item = sentence.starts_with("- ") || sentence.starts_with("2. ");
            text.push_str(match sentence {
                _ if text.is_empty() => "",
                _ if item => "\n",
                &"Another one." => "\n\n",
                _ if sentence.starts_with('(') => "\r\n",
                _ => " ",
            });
            text.push_str(sentence);
        }
        assert_eq!(parts(&text), expected);
    }
    assert!(sentences("").is_empty());
    assert_eq!(sentences("  \n "), [4]);
}

#[test]
fn the_default_packs_sentences_and_repeats_a_fifth() {
    let text = "a b c. D e f. G h i. J k l. M n o.";
    let chunks = chunks(&Arc::new(Extracted::plain(text)), fixed(9, 4), &Words);
    assert_eq!(
        texts(&chunks),
        ["a b c. D e f. G h i.", "G h i. J k l. M n o."]
    );
    assert_eq!(
        Strategy::default(),
        Strategy::of(None, 8_192).expect("it is the default")
    );
    assert_eq!(Strategy::default(), fixed(300, 60));
    // A model that reads less gets no chunk whose end it would not see.
    assert_eq!(Strategy::of(None, 254), Ok(fixed(254, 50)));
}

#[test]
fn a_heading_stays_with_what_follows() {
    let heading = |text| block(BlockKind::Heading { level: 2 }, text);
    let paragraph = |text| block(BlockKind::Paragraph, text);
    let document = document(vec![
        paragraph("One two three four."),
        heading("Leave"),
        heading("Parental leave"),
        paragraph("Six weeks are given. More on demand."),
    ]);
    let chunks = chunks(&document, fixed(8, 0), &Words);
    assert_eq!(
        texts(&chunks),
        [
            "One two three four.",
            "Leave\n\nParental leave\n\nSix weeks are given.",
            "More on demand."
        ]
    );
}

#[test]
fn rows_items_and_lines_of_code_stay_whole() {
    let document = document(vec![
        block(BlockKind::Row, "name: Ann. | age: 3."),
        block(BlockKind::Row, "name: Bob. | age: 4."),
        block(BlockKind::ListItem, "First. Second."),
        block(BlockKind::ListItem, "Third."),
        block(BlockKind::Code, "if a:\n    b()\n    c()"),
    ]);
    assert_eq!(
        texts(&chunks(&document, fixed(7, 0), &Words)),
        [
            "name: Ann. | age: 3.",
            "name: Bob. | age: 4.\n\nFirst. Second.",
            "Third.\n\nif a:\n    b()\n    c()",
        ]
    );
    assert_eq!(
        texts(&chunks(&document, fixed(2, 0), &Words))[6..],
        ["First. Second.", "Third.", "if a:", "    b()\n    c()"]
    );
}

#[test]
fn overlong_sentences_are_cut_behind_words_and_at_lines_first() {
    let text = "a b c d e f g h\ni j k l m";
    let chunks = chunks(&Arc::new(Extracted::plain(text)), fixed(10, 0), &Words);
    assert_eq!(texts(&chunks), ["a b c d e f g h", "i j k l m"]);

    let long = "x".repeat(1000);
    let chunks = super::tests::chunks(&Arc::new(Extracted::plain(&*long)), fixed(4, 0), &Ignorant);
    assert!(chunks.iter().all(|chunk| chunk.text.len() <= 4 * 64));
    assert_eq!(texts(&chunks).concat(), long);
}

#[test]
fn pages_are_those_that_chunks_begin_on() {
    let page = |page, text: &str| Block {
        page: Some(page),
        ..block(BlockKind::Paragraph, text)
    };
    let document = document(vec![
        page(1, "One two. Three four."),
        page(2, "Five six."),
        page(4, "Seven eight. Nine ten."),
    ]);
    let pages = |strategy| -> Vec<Option<u32>> {
        let chunks = chunks(&document, strategy, &Words);
        chunks.iter().map(|chunk| chunk.page).collect()
    };
    assert_eq!(pages(fixed(4, 0)), [Some(1), Some(2), Some(4)]);
    assert_eq!(pages(fixed(4, 2)), [Some(1), Some(1), Some(2), Some(4)]);
    assert_eq!(pages(Strategy::Whole), [None]);
}

#[test]
fn children_are_cut_from_their_parents() {
    let text = "a b. C d. E f. G h. I j. K l. M n.";
    let strategy = Strategy::Hierarchical {
        parent_tokens: 8,
        child_tokens: 4,
        overlap_tokens: 2,
    };
    let chunks = chunks(&Arc::new(Extracted::plain(text)), strategy, &Words);
    let told: Vec<(usize, &str, &str)> = chunks
        .iter()
        .map(|chunk| {
            let parent = chunk.parent.as_ref().expect("each has one");
            (parent.number, &*parent.text, &*chunk.text)
        })
        .collect();
    let (first, second) = ("a b. C d. E f. G h.", "G h. I j. K l. M n.");
    assert_eq!(
        told,
        [
            (0, first, "a b. C d."),
            (0, first, "C d. E f."),
            (0, first, "E f. G h."),
            (1, second, "G h. I j."),
            (1, second, "I j. K l."),
            (1, second, "K l. M n."),
        ]
    );
}

#[test]
fn nothing_makes_no_chunks() {
    for blank in ["", " \n\t "] {
        let blank = document(vec![block(BlockKind::Paragraph, blank)]);
        for strategy in [Strategy::default(), Strategy::Whole] {
            assert!(chunks(&blank, strategy, &Words).is_empty());
        }
    }
    assert!(chunks(&document(Vec::new()), Strategy::default(), &Words).is_empty());
}

#[test]
fn too_many_chunks_are_an_error() {
    let text = "word ".repeat(70_000);
    let error = cut(Arc::new(Extracted::plain(text)), fixed(1, 0), &Words).expect_err("too many");
    assert_eq!(error, ChunkError::TooMany);
    assert_eq!(
        error.to_string(),
        "the document would be cut into more than 65536 chunks"
    );
}

/// Embeds by the first letter of what the first sentence says.
fn semantic(text: Arc<Extracted>, buffer: usize, batch: usize) -> (Vec<String>, Vec<Chunk>) {
    let strategy = Strategy::Semantic {
        max_tokens: 6,
        buffer,
        percentile: 60,
    };
    let Cut::Semantic(mut semantic) = cut(text, strategy, &Words).expect("it can be cut") else {
        panic!("embeddings are needed");
    };
    let mut asked = Vec::new();
    loop {
        let texts = semantic.texts(batch);
        if texts.is_empty() {
            break;
        }
        let vectors = texts
            .iter()
            .map(|text| {
                if text.contains("cat") {
                    vec![1.0, 0.0]
                } else {
                    vec![0.0, 1.0]
                }
            })
            .collect();
        asked.extend(texts.iter().map(ToString::to_string));
        semantic.add(vectors).expect("they belong to the texts");
    }
    (asked, semantic.cut().expect("all are embedded"))
}

#[test]
fn sentences_about_the_same_stay_together() {
    let document = document(vec![
        block(BlockKind::Paragraph, "A cat. The cat. My cat. Your cat."),
        block(BlockKind::Heading { level: 1 }, "About cats"),
        block(BlockKind::Paragraph, "A dog. The dog."),
    ]);
    for batch in [1, 3, 100] {
        let (asked, chunks) = semantic(Arc::clone(&document), 0, batch);
        assert_eq!(
            asked,
            [
                "A cat.",
                "The cat.",
                "My cat.",
                "Your cat.",
                "About cats",
                "A dog.",
                "The dog."
            ]
        );
        assert_eq!(
            texts(&chunks),
            [
                "A cat. The cat. My cat.",
                "Your cat.",
                "About cats\n\nA dog. The dog."
            ]
        );
    }
    let (asked, _) = semantic(Arc::clone(&document), 1, 2);
    assert_eq!(asked[0], "A cat. The cat.");
    assert_eq!(asked[4], "Your cat.\n\nAbout cats\n\nA dog.");
    let (asked, chunks) = semantic(Arc::new(Extracted::plain("Only one.")), 1, 2);
    assert_eq!((asked.len(), chunks.len()), (1, 1));
    let (asked, chunks) = semantic(Arc::new(Extracted::plain("")), 1, 2);
    assert_eq!((asked.len(), chunks.len()), (0, 0));
}

#[test]
fn vectors_that_do_not_belong_are_refused() {
    let strategy = Strategy::Semantic {
        max_tokens: 6,
        buffer: 0,
        percentile: 95,
    };
    let begin = || {
        let document = Arc::new(Extracted::plain("A b. C d."));
        match cut(document, strategy, &Words).expect("it can be cut") {
            Cut::Semantic(semantic) => semantic,
            Cut::Chunks(_) => panic!("embeddings are needed"),
        }
    };
    begin().add(vec![vec![1.0]; 3]).expect_err("too many");
    let error = begin().add(vec![vec![1.0], vec![1.0, 0.0]]);
    assert_eq!(error, Err(ChunkError::Vectors { wanted: 2, got: 1 }));
    begin().cut().expect_err("none has come");
}

#[test]
fn strategies_of_data_sources() {
    let of = |configuration: Value| {
        let configuration: ChunkingConfiguration =
            serde_json::from_value(configuration).expect("it has the API's shape");
        Strategy::of(Some(&configuration), 254).map_err(|error| error.to_string())
    };
    let valid = [
        (json!({"chunkingStrategy": "NONE"}), Strategy::Whole),
        (
            json!({"chunkingStrategy": "FIXED_SIZE",
                "fixedSizeChunkingConfiguration": {"maxTokens": 100, "overlapPercentage": 15}}),
            fixed(100, 15),
        ),
        (
            json!({"chunkingStrategy": "HIERARCHICAL", "hierarchicalChunkingConfiguration": {
                "levelConfigurations": [{"maxTokens": 1500}, {"maxTokens": 300}],
                "overlapTokens": 60}}),
            Strategy::Hierarchical {
                parent_tokens: 1500,
                child_tokens: 300,
                overlap_tokens: 60,
            },
        ),
        (
            json!({"chunkingStrategy": "SEMANTIC", "semanticChunkingConfiguration": {
                "maxTokens": 300, "bufferSize": 1, "breakpointPercentileThreshold": 95}}),
            Strategy::Semantic {
                max_tokens: 300,
                buffer: 1,
                percentile: 95,
            },
        ),
    ];
    for (configuration, expected) in valid {
        assert_eq!(of(configuration), Ok(expected));
    }
    let invalid = [
        (
            json!({"chunkingStrategy": "FIXED_SIZE"}),
            "fixedSizeChunkingConfiguration is required when chunkingStrategy is FIXED_SIZE",
        ),
        (
            json!({"chunkingStrategy": "FIXED_SIZE",
                "fixedSizeChunkingConfiguration": {"maxTokens": 0, "overlapPercentage": 15}}),
            "maxTokens must be from 1 to 8192, not 0",
        ),
        (
            json!({"chunkingStrategy": "HIERARCHICAL", "hierarchicalChunkingConfiguration": {
                "levelConfigurations": [{"maxTokens": 300}], "overlapTokens": 60}}),
            "levelConfigurations must be two levels, not 1",
        ),
        (
            json!({"chunkingStrategy": "HIERARCHICAL", "hierarchicalChunkingConfiguration": {
                "levelConfigurations": [{"maxTokens": 300}, {"maxTokens": 400}],
                "overlapTokens": 60}}),
            "levelConfigurations[1].maxTokens must be at most the maxTokens of the level above, \
             not 400",
        ),
    ];
    for (configuration, problem) in invalid {
        assert_eq!(of(configuration), Err(problem.to_owned()));
    }
}

/// Numbers that look random and are the same each time.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits fit") % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn document(&mut self) -> Arc<Extracted> {
        const PIECES: &[&str] = &[
            "word ",
            "Dr. ",
            "End. ",
            "over\n",
            "e.g. ",
            "\n\n",
            "1. ",
            "文です。",
            "é",
            "x ",
            "\t",
            "Yes! ",
            "\"Quote.\" ",
            "a-very-long-word-that-goes-on-and-on-for-more-than-sixty-four-bytes",
            "\u{a0}",
            "🦀 ",
            "(iv) ",
            "- item\n",
            "12.5 ",
            "\r\n",
        ];
        let blocks = (0..self.below(30))
            .map(|_| {
                let kind = match self.below(8) {
                    0 => BlockKind::Heading { level: 1 },
                    1 => BlockKind::ListItem,
                    2 => BlockKind::Row,
                    3 => BlockKind::Code,
                    _ => BlockKind::Paragraph,
                };
                let pieces = 1 + self.below(60);
                let text: String = (0..pieces).map(|_| self.pick(PIECES)).collect();
                Block {
                    page: Some(u32::try_from(1 + self.below(9)).expect("it is small")),
                    ..block(kind, &text)
                }
            })
            .collect();
        document(blocks)
    }
}

fn solid(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Takes from `chunk` what it repeats of `text`'s end, and adds the rest.
fn append(text: &mut String, chunk: &str, whole: &str) {
    let chunk = solid(chunk);
    let repeats = (0..=chunk.len().min(text.len()))
        .filter(|length| chunk.is_char_boundary(*length))
        .find(|length| {
            text.ends_with(&chunk[..*length]) && whole[text.len()..].starts_with(&chunk[*length..])
        });
    text.push_str(&chunk[repeats.expect("a chunk goes on where the one before ended")..]);
}

#[test]
fn nothing_is_lost_and_no_chunk_is_too_long_whatever_the_text() {
    let mut random = Seeded(0x5eed_1234_5678_9abc);
    let counters: [&dyn TokenCounter; 3] = [&Words, &Characters, &Ignorant];
    for round in 0..600 {
        let document = random.document();
        let counter = counters[round % 3];
        let max_tokens = 1 + random.below(60);
        let overlap = random.below(max_tokens);
        let all: String = document
            .blocks
            .iter()
            .map(|block| solid(&block.text))
            .collect();
        let chunks = chunks(&document, fixed(max_tokens, overlap), counter);
        let mut covered = String::new();
        for chunk in &chunks {
            let tokens = counter.count(&chunk.text);
            assert!(
                tokens <= max_tokens && chunk.tokens <= max_tokens,
                "round {round}: {tokens} or {} tokens, not {max_tokens}: {:?}",
                chunk.tokens,
                chunk.text
            );
            assert_eq!(chunk.text.trim_end(), &*chunk.text);
            append(&mut covered, &chunk.text, &all);
        }
        assert_eq!(covered, all, "round {round}");
    }
}

#[test]
fn what_is_repeated_is_the_end_of_the_chunk_before_and_not_more_than_asked_for() {
    let mut random = Seeded(0xfeed_4321_8765_cba9);
    for _ in 0..200 {
        let sentences = 2 + random.below(80);
        let mut number = 0;
        let text: Vec<String> = (0..sentences)
            .map(|_| {
                let words = 1 + random.below(6);
                let words: Vec<String> = (0..words)
                    .map(|_| {
                        number += 1;
                        format!("W{number}")
                    })
                    .collect();
                format!("{}. ", words.join(" "))
            })
            .collect();
        let max_tokens = 6 + random.below(30);
        let overlap = random.below(max_tokens);
        let chunks = chunks(
            &Arc::new(Extracted::plain(text.concat())),
            fixed(max_tokens, overlap),
            &Words,
        );
        for pair in chunks.windows(2) {
            let begin = pair[1].text.split(". ").next().expect("it has a sentence");
            let repeated = pair[0]
                .text
                .find(begin)
                .map_or("", |at| &pair[0].text[at..]);
            assert!(pair[1].text.starts_with(repeated));
            assert!(Words.count(repeated) <= overlap);
            // What would have been repeated besides is too long for the overlap or for the chunk.
            let rest = pair[0].text.len() - repeated.len();
            let before = pair[0].text[..rest].trim_end().trim_end_matches('.');
            let last = Words.count(before.rsplit(". ").next().unwrap_or(before));
            let fresh = pair[1].text[repeated.len()..].trim_start();
            let next = Words.count(fresh.split_inclusive(". ").next().unwrap_or(fresh));
            assert!(
                rest == 0
                    || last == Words.count(&pair[0].text)
                    || Words.count(repeated) + last > overlap
                    || Words.count(repeated) + last + next > max_tokens
            );
        }
    }
}

#[test]
#[ignore = "a measurement: run it with --release"]
fn fifty_megabytes() {
    let sentence = "Each member of staff, e.g. Dr. Miller, gets 25.5 days of leave a year. ";
    let lines = sentence
        .replace(". ", ".\n")
        .repeat(50_000_000 / sentence.len());
    let giant = "nostop ".repeat(50_000_000 / 7);
    for text in [sentence.repeat(50_000_000 / sentence.len()), lines, giant] {
        let document = Arc::new(Extracted::plain(text));
        let begin = std::time::Instant::now();
        sentences(&document.blocks[0].text);
        let split = begin.elapsed();
        let chunks = chunks(&document, Strategy::default(), &Words);
        let all = begin.elapsed().checked_sub(split).unwrap();
        println!("{} chunks; sentences {split:?}, all {all:?}", chunks.len());
    }
}
